"""Who may read in a project, by which secret, and what a reader was given and did."""

from __future__ import annotations

from al_cxr.labelling.desk import Desk
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.readers import figures, hashed, new_token


class Admission:
    """The part of a project that knows its readers."""

    journal: Journal
    _desk: Desk

    def reader(self, name: str) -> str:
        """A reader's name in the one spelling that the project uses.

        Parameters
        ----------
        name : str
            As somebody wrote it.

        Returns
        -------
        str
            The name.

        Raises
        ------
        UserError
            Where it is no name, or the project names its readers and this is none of them.
        """
        return self._desk.reader(name)

    def new_token(self, reader: str) -> str:
        """Give a reader a secret by which a page knows who reads; an earlier one ends.

        Parameters
        ----------
        reader : str
            Who gets it.

        Returns
        -------
        str
            The token; the project keeps a salted hash of it alone.

        Raises
        ------
        UserError
            Where the project does not know the reader.
        """
        token = new_token()
        self._desk.add_reader(self._desk.reader(reader), hashed(token))
        return token

    def was_asked(self, question: str, reader: str) -> bool:
        """Whether a question was asked, and of this reader.

        Parameters
        ----------
        question : str
            Id of the question.
        reader : str
            In the project's spelling.

        Returns
        -------
        bool
            False for a question that nobody was asked, too.
        """
        with self.journal.log.lock:
            found = self.journal.state.questions.get(question)
        return found is not None and found.reader == reader

    def answered(self, reader: str) -> int:
        """How many questions a reader has answered; what was skipped does not count.

        Parameters
        ----------
        reader : str
            In the project's spelling.

        Returns
        -------
        int
            0 also for a reader who has not begun.
        """
        with self.journal.log.lock:
            state = self.journal.state
            return figures(state, reader).answers if reader in state.readers else 0
