"""A labelling project: ask which radiographs to label next, tell what a person says of them.

It knows neither a page nor a file of answers: both call the same methods, and no method knows who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from al_cxr.labelling.archive import Archive, Scan
from al_cxr.labelling.audit import audit_of, sit
from al_cxr.labelling.chooser import Chooser, Known
from al_cxr.labelling.desk import Clock, Desk
from al_cxr.labelling.events import Event
from al_cxr.labelling.exchange import Exchange
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.opening import begin, now, reopen
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.streams import Streams
from al_cxr.labelling.worker import Worker


class Project(Exchange):
    """An open project; `al_cxr.LabellingProject` is this with what is made of its labels."""

    def __init__(self, folder: Path, settings: ProjectSettings, journal: Journal, clock: Clock = now) -> None:
        self.folder, self.settings, self.journal, self._clock = folder, settings, journal, clock
        self.archive = Archive(settings.archive)
        self.archive.update(journal.state.images)
        self._scanned = journal.state.scanned
        self.streams = Streams(settings, self.archive)
        self.chooser = Chooser(folder, settings, self.archive)
        self.chooser.recall(journal.state)
        self.scanned: Scan | None = None
        """What the last look at the archive found; None where this object has not looked."""
        self.worker: Worker | None = None
        self._desk = Desk(settings, journal, self.archive, clock)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        archive: str | Path,
        classes: Sequence[str],
        target: str | None = None,
        settings: Mapping[str, Any] | None = None,
        clock: Clock = now,
    ) -> Self:
        """Begin a project.

        Parameters
        ----------
        folder : path
            New; nothing is overwritten.
        archive : path or str
            A folder of radiographs with all folders below it, a CSV with a column path, a DICOMDIR or phantom:COUNT.
        classes : sequence of str
            What an image can show; a reader chooses one.
        target : str, optional
            The class that sensitivity and specificity are about; by default the last.
        settings : mapping, optional
            Any other settings of project.yaml, such as ``{"acquisition": {"strategy": "margin"}}``.
        clock : function, optional
            Tells the time for the log; by default the machine's, in UTC.

        Returns
        -------
        LabellingProject
            Open, with the archive looked at.

        Raises
        ------
        UserError
            Where the folder is there already, the archive has no image, or a setting is wrong.
        """
        made, journal, scan = begin(Path(folder), archive, classes, target, settings or {}, clock)
        project = cls(Path(folder), made, journal, clock)
        project.scanned = scan
        return project

    @classmethod
    def open(cls, folder: str | Path, archive: str | Path | None = None, clock: Clock = now) -> Self:
        """Go on with a project.

        Parameters
        ----------
        folder : path
            The project.
        archive : path or str, optional
            Where the archive lies now, if it has moved; then `scan` it.
        clock : function, optional
            Tells the time for the log; by default the machine's, in UTC.

        Returns
        -------
        LabellingProject
            As it was left, by whatever process.

        Raises
        ------
        UserError
            Where there is no project, nothing lies at the new place, or settings were changed that may not change.
        """
        settings, journal = reopen(Path(folder), archive, clock)
        return cls(Path(folder), settings, journal, clock)

    def close(self) -> None:
        """Let go of the files; nothing is lost where this is not called."""
        if self.worker is not None:
            self.worker.stop()
        self.journal.log.close()

    # ------------------------------------------------------------------------------------- archive, features, head
    def scan(self) -> Scan:
        """Look at the archive again: new images join the pool, lost ones leave it and come back."""
        self.journal.refresh()
        self.scanned = scan = self.archive.scan()
        self.journal.record(*scan.events(self._clock()))
        self._take_images()
        return scan

    def prepare(self) -> int:
        """Compute the features of the next chunk of images, those that are labelled first; how many were dealt with.

        0 where all are there. What was computed is kept, whenever this is stopped.
        """
        with self.journal.log.lock:
            self._take_images()
            labelled = [self.archive.index_of[image] for image in self.journal.state.labels()]
        before = self.chooser.features.ready_N
        done = self.chooser.features.advance(labelled)
        if self.chooser.start is not None:
            self.chooser.start.look(np.flatnonzero(self.chooser.features.ready_N & ~before).tolist())
        return done

    def learn(self) -> bool:
        """Train the head where there are labels enough that it has not seen; whether it was."""
        known = self.known()
        if not self.chooser.due(known):
            return False
        model = self.chooser.train(known)
        detail = {"labelled": model.labelled}
        self.journal.record(Event(kind="trained", time=self._clock(), model=model.key, detail=detail))
        self._examine()
        return True

    @contextmanager
    def working(self) -> Iterator[Worker]:
        """A block in which features are computed and heads trained beside whoever asks and answers."""
        self.worker = Worker(self)
        self.worker.start()
        try:
            yield self.worker
        finally:
            self.worker.stop()
            self.worker = None

    # -------------------------------------------------------------------------------------------------- inner part
    def _examine(self) -> None:
        """Let the present model sit the exam that is due, if one is."""
        model, features = self.chooser.model, self.chooser.features
        with self.journal.log.lock:
            self._take_images()
            audit = audit_of(self.journal.state, self.settings, self.archive, self.streams, features)
            sat = max((int(event.detail["size"]) for event in self.journal.state.exams), default=0)
        target = self.settings.classes.index(self.settings.target)
        if model is None or not len(audit):
            return
        if (result := sit(self.settings.goal, target, audit, model, features, sat)) is not None:
            detail = {"size": result.size, "value": result.value, "low": result.low, "passed": result.passed}
            self.journal.record(Event(kind="examined", time=self._clock(), model=model.key, detail=detail))

    def known(self) -> Known:
        """What the answers say by now, whatever process took them."""
        with self.journal.log.lock:
            self._take_images()
            state = self.journal.state
            self.chooser.recall(state)
            return self.chooser.known(state, self.streams)

    def _take_images(self) -> None:
        """The images as the log has them, where they changed, by whatever process."""
        with self.journal.log.lock:
            state = self.journal.refresh()
            if state.scanned != self._scanned:
                self.archive.update(state.images)
                self.streams, self._scanned = Streams(self.settings, self.archive), state.scanned
