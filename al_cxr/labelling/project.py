"""A labelling project: ask which radiographs to label next, tell what a person says of them.

It knows neither a page nor a file of answers: both call the same methods, and no method knows who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.names import class_name
from al_cxr.data.decode import Reading
from al_cxr.labelling.answers import Answer, Asked
from al_cxr.labelling.archive import Archive, Scan
from al_cxr.labelling.audit import audit_of, sit, with_exams
from al_cxr.labelling.chooser import Chooser, Known
from al_cxr.labelling.desk import Clock, Desk
from al_cxr.labelling.events import Event
from al_cxr.labelling.features import frozen_network
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.listing import list_archive
from al_cxr.labelling.log import EventLog
from al_cxr.labelling.questions import Question
from al_cxr.labelling.settings import ProjectSettings, project_settings, read_settings, write_settings
from al_cxr.labelling.start import start_bundle
from al_cxr.labelling.streams import Streams
from al_cxr.labelling.worker import Worker
from al_cxr.strategies import get

LOG = "events.sqlite"
FIXED = ("classes", "target", "seed", "streams", "network", "start", "goal")
"""Settings that what was asked before hangs on."""


def _now() -> datetime:
    return datetime.now(UTC)


class Project:
    """An open project; `al_cxr.LabellingProject` is this with what is made of its labels."""

    def __init__(self, folder: Path, settings: ProjectSettings, journal: Journal, clock: Clock = _now) -> None:
        self.folder, self.settings, self.journal, self._clock = folder, settings, journal, clock
        self.archive = Archive(settings.archive)
        self.archive.update(journal.state.images)
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
        clock: Clock = _now,
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
        folder = Path(folder)
        given = dict(settings or {})
        given["archive"] = {**given.get("archive", {}), "source": _place(archive)}
        given |= {"classes": list(classes), "target": class_name(target if target is not None else classes[-1])}
        made = project_settings(given, "settings")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder}: is there already; name a new folder, or go on with `al-cxr label ask {folder}`")
        get(made.acquisition.strategy, made.acquisition.options, "acquisition")
        frozen_network(made)
        if made.start:
            start_bundle(made)
        scan = Archive(made.archive).scan()  # before anything is written
        made = with_exams(made, len({image.patient_id or image.digest for image in scan.found}))
        log = EventLog.create(folder / LOG, _logged(made), clock())
        log.append(*scan.events(clock()))
        log.close()
        write_settings(folder, made)  # last: its presence says that all the rest is there
        project = cls(folder, made, Journal.open(folder / LOG), clock)
        project.scanned = scan
        return project

    @classmethod
    def open(cls, folder: str | Path, archive: str | Path | None = None, clock: Clock = _now) -> Self:
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
        folder = Path(folder)
        settings = read_settings(folder)
        if archive is not None:
            moved = settings.archive.model_copy(update={"source": _place(archive)})
            list_archive(moved)
            settings = settings.model_copy(update={"archive": moved})
            write_settings(folder, settings)
        journal = Journal.open(folder / LOG)
        known, now = dict(journal.state.settings), _logged(settings)
        for key in FIXED:
            if known.get(key) != now[key]:
                raise UserError(
                    f"{folder / 'project.yaml'}: {key} was changed, on which what was asked before hangs; put "
                    f"{known.get(key)!r} back, or start another project"
                )
        if known != now:
            journal.record(Event(kind="settings", time=clock(), detail=now))
        return cls(folder, settings, journal, clock)

    def close(self) -> None:
        """Let go of the files; nothing is lost where this is not called."""
        if self.worker is not None:
            self.worker.stop()
        self.journal.log.close()

    # ------------------------------------------------------------------------------------------------ ask and tell
    def ask(self, n: int = 1, reader: str = "reader", minutes: float | None = None) -> list[Asked]:
        """The reader's next questions: first those that were handed out before and are not answered, in their order.

        Parameters
        ----------
        n : int
            How many; fewer come where fewer are left.
        reader : str
            Who will answer.
        minutes : float, optional
            For how long the images are kept for this reader; by default as the settings say.

        Returns
        -------
        list of Asked
            An id each, and the image. Why an image is asked for is not said.

        Raises
        ------
        UserError
            Where the project does not know the reader, or a file cannot be written.
        """
        name = self._desk.reader(reader)
        if self.worker is None:
            self.learn()
        proposal = self.chooser.proposal(self.known(), n)
        readable_N = self.archive.present_N
        readable_N[list(self.chooser.features.unreadable)] = False
        minutes = self.settings.readers.lease_minutes if minutes is None else minutes
        return [self._asked(q) for q in self._desk.hand_out(n, name, self.streams, proposal, readable_N, minutes)]

    def tell(
        self, question: str, answer: str, reader: str = "reader", milliseconds: int | None = None, comment: str = ""
    ) -> None:
        """Take an answer; it is on the disk on return. The same answer again changes nothing, another one corrects it.

        Parameters
        ----------
        question : str
            Id of the question.
        answer : str
            A class, or one of "unsure", "skip", "unreadable", "not-frontal".
        reader : str
            Who answers: the one who was asked.
        milliseconds : int, optional
            Active time on the image.
        comment : str, optional
            Whatever the reader wants to say of the image.

        Raises
        ------
        UserError
            Where nobody asked this, another reader was asked, or the answer is none.
        """
        self.tell_all([Answer(question, answer, milliseconds, comment)], reader)

    def tell_all(self, answers: Sequence[Answer], reader: str = "reader") -> int:
        """Take many answers, all or none.

        Parameters
        ----------
        answers : sequence of Answer
            To questions of one reader.
        reader : str
            Who answers.

        Returns
        -------
        int
            How many of them were new.
        """
        new = self._desk.take(answers, self._desk.reader(reader))
        if self.worker is not None:
            self.worker.wake()
        return new

    def undo(self, reader: str = "reader") -> Asked:
        """Take a reader's last answer back, and ask again.

        Parameters
        ----------
        reader : str
            Whose.

        Returns
        -------
        Asked
            The question that is open again.

        Raises
        ------
        UserError
            Where there is no answer to take back.
        """
        return self._asked(self._desk.take_back(self._desk.reader(reader)))

    def shown(self, question: str) -> None:
        """Note that a reader has the image before the eyes: it is kept for the reader from now on.

        Parameters
        ----------
        question : str
            Id of the question.
        """
        self._desk.show(question)

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
            labelled = [self.archive.index_of[image] for image in self.journal.state.labels()]
        before = self.chooser.features.ready_N
        done = self.chooser.features.advance(labelled)
        if self.chooser.start is not None:
            self.chooser.start.look(np.flatnonzero(self.chooser.features.ready_N & ~before).tolist())
        return done

    def learn(self) -> bool:
        """Train the head where there are labels enough that it has not seen; whether it was."""
        self._take_images()
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
            state = self.journal.refresh()
            self.chooser.recall(state)
            return self.chooser.known(state, self.streams)

    def _take_images(self) -> None:
        """The images as the log has them, where another process or a scan changed them."""
        with self.journal.log.lock:
            images = self.journal.refresh().images
            if [image.present for image in images.values()] != [image.present for image in self.archive.images]:
                self.archive.update(images)
                self.streams = Streams(self.settings, self.archive)

    def _index(self, question: str) -> int:
        return self.archive.index_of[self.journal.state.question(question).image]

    def _asked(self, question: Question) -> Asked:
        return Asked(question.id, question.reader, self.archive.images[self.archive.index_of[question.image]].name)


def _place(archive: str | Path) -> str:
    """An archive as the settings name it: a path that means the same from every folder, or the name of a source."""
    path = Path(archive).expanduser()
    return str(path.resolve()) if path.exists() or isinstance(archive, Path) else str(archive)


def _logged(settings: ProjectSettings) -> dict[str, Any]:
    """What the log is told of the settings."""
    return settings.model_dump(mode="json", exclude={"machine": True}) | {"policy": settings.readers.policy}
