"""What readers do with a project: they ask, tell, take back, and look at the images of their questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from al_cxr.labelling.admission import Admission
from al_cxr.labelling.answers import Answer, Asked, word_of
from al_cxr.labelling.chooser import Chooser, Known
from al_cxr.labelling.doubts import STREAM as DOUBT
from al_cxr.labelling.doubts import doubts_of
from al_cxr.labelling.questions import Question
from al_cxr.labelling.state import State
from al_cxr.labelling.streams import DEALT, Deal, Streams
from al_cxr.labelling.viewing import Viewing
from al_cxr.labelling.worker import Worker


class Exchange(Admission, Viewing):
    """The part of a project that readers meet. Whether a page or a file is between makes no difference here."""

    streams: Streams
    chooser: Chooser
    worker: Worker | None

    def learn(self) -> bool:
        raise NotImplementedError

    def known(self) -> Known:
        raise NotImplementedError

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
            Where the project does not know the reader, a file cannot be written, or training beside the readers failed:
            that is said once, and the next call asks all the same.
        """
        name = self._desk.reader(reader)
        if self.worker is None:
            self.learn()
        else:
            self.worker.check()
        proposal = self.chooser.proposal(self.known(), n)
        readable_N = self.archive.present_N
        readable_N[list(self.chooser.features.unreadable)] = False

        def deal(state: State, now: datetime, count: int) -> Sequence[Deal]:
            return self.streams.deal(state, name, now, count, proposal, readable_N)

        return [self._asked(q) for q in self._desk.hand_out(n, name, DEALT, deal, minutes)]

    def ask_doubtful(self, n: int = 1, reader: str = "reader", minutes: float | None = None) -> list[Asked]:
        """Images to read again: models that have not learned from their labels take these for wrong.

        Each comes once, to one reader, who sees neither the label nor that it is doubted. `tell` takes the answer: of
        the same reader it corrects the first; another reader's agrees, or goes to who decides. Images of the audit are
        never among them.

        Parameters
        ----------
        n : int
            How many; fewer come where fewer are left, and none where labels are too few to doubt any.
        reader : str
            Who will answer.
        minutes : float, optional
            For how long the images are kept for this reader; by default as the settings say.

        Returns
        -------
        list of Asked
            Those that are doubted most first.

        Raises
        ------
        UserError
            Where the project does not know the reader, or a file cannot be written.
        """
        name = self._desk.reader(reader)
        known = self.known()
        with self.journal.log.lock:
            doubts = doubts_of(self.journal.state, known, self.chooser, self.archive)

        def deal(state: State, now: datetime, count: int) -> Sequence[Deal]:
            return doubts.deal(state, self.archive, name, now, count)

        return [self._asked(q) for q in self._desk.hand_out(n, name, (DOUBT,), deal, minutes)]

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
        question, before = self._desk.take_back(self._desk.reader(reader))
        return replace(self._asked(question), earlier=word_of(before.kind, before.label))

    def comment(self, question: str, text: str, reader: str = "reader") -> None:
        """Keep what a reader says of an image, whether it is answered or not.

        Parameters
        ----------
        question : str
            Id of the question.
        text : str
            What is said.
        reader : str
            Who says it: the one who was asked.

        Raises
        ------
        UserError
            Where nobody asked this, or another reader was asked.
        """
        self._desk.comment(question, text, self._desk.reader(reader))

    def shown(self, question: str) -> None:
        """Note that a reader has the image before the eyes: it is kept for the reader from now on.

        Parameters
        ----------
        question : str
            Id of the question.
        """
        self._desk.show(question)

    def _asked(self, question: Question) -> Asked:
        return Asked(question.id, question.reader, self.archive.images[self._index(question.id)].name)
