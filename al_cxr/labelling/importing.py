"""Labels that were given elsewhere, or exported by another project, as events of this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.core.names import known_class
from al_cxr.data.sources.cells import read_cells
from al_cxr.labelling.events import Event, new_question
from al_cxr.labelling.state import State

LISTED = 10
"""Wrong rows that are listed; of more, the number is said."""


def read_labels(file: Path, state: State) -> dict[str, str]:
    """Image -> label, of a CSV with a column `label` and a column `image_hash` or `path`: labels.csv of an export, or a
    table of one's own. Rows without a label are passed over.

    UserError, which names the rows, where an image is not in the archive, a label is no class, or one image has two.
    """
    header, rows = read_cells(file)
    by = next((name for name in ("image_hash", "path") if name in header), None)
    if by is None or "label" not in header:
        raise UserError(f"{file}: needs a column label, and image_hash or path; it has {', '.join(header)}")
    names = {str(image.detail.get("name", key)): key for key, image in state.images.items()}
    known = {key: key for key in state.images} if by == "image_hash" else names
    found: dict[str, str] = {}
    wrong = []
    for row, cells in rows:
        image, label = (_cell(cells, header.index(name)) for name in (by, "label"))
        if not label:
            continue
        try:
            name = known_class(label, state.settings.get("classes", []), "label")
            if image not in known:
                raise UserError(f"{by} {image!r} is not in the archive of this project")
            if found.setdefault(known[image], name) != name:
                raise UserError(f"{by} {image!r} is {found[known[image]]} in another row and {name} here")
        except UserError as error:
            wrong.append(f"{file}, row {row}: {error}")
    if wrong:
        more = [f"and {len(wrong) - LISTED:,} more rows"] if len(wrong) > LISTED else []
        raise UserError("\n".join([*wrong[:LISTED], *more, "nothing was taken; correct the file and import it again"]))
    return found


def imported(labels: Mapping[str, str], state: State, reader: str, time: datetime) -> Iterator[Event]:
    """The events that tell a project labels from elsewhere, under the name of a reader that is not one of those who
    answer here. What was imported before is not told again, and another label corrects it."""
    if reader not in state.readers:
        yield Event(kind="reader_added", time=time, reader=reader)
    for image, label in labels.items():
        mine = [q for q in state.images[image].questions if q.reader == reader and q.stream == "imported"]
        if not mine:
            question = new_question()
            yield Event(kind="served", time=time, reader=reader, image=image, question=question, stream="imported")
            yield Event(kind="answered", time=time, reader=reader, image=image, question=question, label=label)
        elif mine[-1].outcome is None or mine[-1].outcome.label != label:
            yield mine[-1].event("answered", time, label=label)


def _cell(cells: list[str], at: int) -> str:
    return cells[at].strip() if at < len(cells) else ""
