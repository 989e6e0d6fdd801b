"""Questions and answers as a CSV file, for a team that reads in a viewer of its own.

A file of questions has the columns `question`, `file`, `label` and `comment`; the reader fills `label`. Nothing in it
says why an image is asked for. Any other columns are passed over, and `seconds`, where it is there, is the active time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_ours
from al_cxr.data.decode import read_file
from al_cxr.data.sources.cells import read_cells
from al_cxr.labelling.answers import Answer, Asked, outcome_of
from al_cxr.labelling.project import Project

COLUMNS = ("question", "file", "label", "comment")
SHOWN = 10
"""Wrong rows that are listed; of more, the number is said."""


@dataclass(frozen=True)
class Told:
    """What came of a file of answers."""

    new: int
    """Answers that were not known yet, or were another one."""
    same: int
    empty: int
    """Rows without a label, which stay open."""


def write_questions(project: Project, asked: Sequence[Asked], out: Path, copies: Path | None = None) -> None:
    """The file for the reader, and in the folder `copies` the images under names that say nothing.

    A file of ours in which nothing is filled in yet is written anew; UserError for any other that is there.
    """
    must_be_ours(out, _is_ours)
    if out.exists() and (filled := sum(bool(one.answer) for _, one in _rows(out))):
        raise UserError(f"{out}: holds {filled} labels; `al-cxr label tell` takes them, or choose another --out")
    rows = []
    for one in asked:
        try:
            file = project.path(one.question)
        except UserError:  # of a source that makes its images
            file = Path(one.name)
        rows.append([one.question, str(_copy(file, one, copies) if copies is not None else file), "", ""])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_atomically(out, text.getvalue().encode("utf-8", "surrogateescape"))


def tell_file(project: Project, file: Path, reader: str) -> Told:
    """Take the answers of a file: all of them or, where a row is wrong, none. The same file again changes nothing."""
    state, known, empty, wrong = project.journal.refresh(), dict[str, Answer](), 0, list[str]()
    for row, one in _rows(file):
        if not one.answer:
            empty += 1
            continue
        try:
            asked = state.question(one.question)
            if asked.reader.casefold() != reader.casefold():
                raise UserError(f"question {one.question} was asked of {asked.reader}, not of {reader}")
            outcome_of(one.answer, project.settings.classes)
            if (before := known.get(one.question)) is not None and before.answer != one.answer:
                raise UserError(f"question {one.question} is answered twice, {before.answer!r} and {one.answer!r}")
        except UserError as error:
            wrong.append(f"{file}, row {row}: {error}")
        known[one.question] = one
    if wrong:
        more = [f"and {len(wrong) - SHOWN:,} more rows"] if len(wrong) > SHOWN else []
        raise UserError("\n".join([*wrong[:SHOWN], *more, "nothing was taken; correct the file and tell it again"]))
    new = project.tell_all(list(known.values()), reader)
    return Told(new, len(known) - new, empty)


def _rows(file: Path) -> Iterable[tuple[int, Answer]]:
    """Row numbers and what stands in the rows; UserError where the file is none of answers."""
    header, rows = read_cells(file)
    if missing := [name for name in ("question", "label") if name not in header]:
        raise UserError(f"{file}: no column {missing[0]}; it has {', '.join(header)}")

    def cell(cells: list[str], name: str) -> str:
        at = header.index(name) if name in header else len(cells)
        return cells[at].strip() if at < len(cells) else ""

    for row, cells in rows:
        seconds = cell(cells, "seconds").replace(",", ".")
        try:
            milliseconds = round(1000 * float(seconds)) if seconds else None
        except (ValueError, OverflowError):
            raise UserError(f"{file}, row {row}: seconds {seconds!r} is no number") from None
        if milliseconds is not None and not 0 <= milliseconds < 86_400_000:
            raise UserError(f"{file}, row {row}: {seconds} seconds for one image cannot be")
        yield row, Answer(cell(cells, "question"), cell(cells, "label"), milliseconds, cell(cells, "comment"))


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as f:
        return f.readline(200).decode(errors="replace").strip() == ",".join(COLUMNS)


def _copy(file: Path, asked: Asked, folder: Path) -> Path:
    """The image under the id of its question."""
    if not file.is_file():
        raise UserError(f"{file}: is no file that can be copied; leave --copies out")
    there = folder / f"{asked.question}{file.suffix.lower()}"
    if not there.exists():
        write_atomically(there, read_file(file, str(file)))
    return there
