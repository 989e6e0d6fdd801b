"""The list of what is in an archive and cannot be labelled, with reasons: PROJECT/left_out.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from al_cxr.core.drafts import write_atomically

FILE = "left_out.csv"


def write_left_out(project: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Writes the list anew, and says where it is."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *rows])
    write_atomically(project / FILE, text.getvalue().encode("utf-8", "surrogateescape"))
    return project / FILE
