"""The images of questions: where they lie, as a model sees them, and as a person does."""

from __future__ import annotations

from pathlib import Path

from al_cxr.data.decode import Reading
from al_cxr.data.picture import Picture
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.journal import Journal


class Viewing:
    """The part of a project that opens the image of a question."""

    journal: Journal
    archive: Archive

    def _take_images(self) -> None:
        raise NotImplementedError

    def path(self, question: str) -> Path:
        """Where the image of a question lies.

        Parameters
        ----------
        question : str
            Id of the question.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UserError
            Where it lies in no file, or is gone.
        """
        return self.archive.path(self._index(question))

    def read(self, question: str, size: int) -> Reading:
        """Read the image of a question as a model sees it.

        Parameters
        ----------
        question : str
            Id of the question.
        size : int
            Side in pixels.

        Returns
        -------
        Reading
            ``pixels`` are uint8 (size, size), 0 = black.

        Raises
        ------
        UserError
            Where it cannot be read, or has another content than when the archive was scanned.
        """
        return self.archive.read(self._index(question), size)

    def picture(self, question: str) -> Picture:
        """Read the image of a question with all its bits, for a person to look at.

        Parameters
        ----------
        question : str
            Id of the question.

        Returns
        -------
        Picture
            ``pixels_HW`` are uint16; ``windows`` say how to show them.

        Raises
        ------
        UserError
            Where it cannot be read, or has another content than when the archive was scanned.
        """
        return self.archive.picture(self._index(question))

    def _index(self, question: str) -> int:
        image = self.journal.state.question(question).image
        if image not in self.archive.index_of:  # another process found it a moment ago
            self._take_images()
        return self.archive.index_of[image]
