"""A table from outside as cells: CSV as every program writes it, and a clear word about what is no CSV."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.core.names import plain

MAX_BYTES = 256 * 2**20
SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods", ".json", ".jsonl", ".parquet", ".feather")
"""How the names of tables end, also of those that have to be saved as CSV first."""

_MAGIC = (
    (b"PK\x03\x04", "a spreadsheet"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "a Feather file"),
)
"""How files begin that are no text, and what they are."""

SEPARATORS = ",;\t|"
_NAMED = re.compile(rf"(sep=([{SEPARATORS}]))[,;\t]*\r?\n", re.IGNORECASE)

Rows = list[tuple[int, list[str]]]


def read_cells(path: Path) -> tuple[list[str], Rows]:
    """The header (plain, in lower case, blanks as _) and the rows below it with their numbers, cells as they stand.

    Rows are counted as a spreadsheet does, from 1 for the header; empty ones are passed over. Commas, semicolons,
    tabs or bars separate the cells: whichever the header has most of, or Excel's line `sep=;`
    above it names. UTF-8 and, where the file says so, UTF-16.

    Raises
    ------
    UserError
        For what cannot be read, is no text table or has no rows.
    """
    text = _text(path)
    if named := _NAMED.match(text):
        text = text[named.end(1) :]
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = named[2] if named else max(SEPARATORS, key=first.count)
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV ({error})") from None
    rows = [(i, row) for i, row in enumerate(table, start=1) if any(cell.strip() for cell in row)]
    if not rows:
        raise UserError(f"{path}: empty; the first row names the columns, and every other one is about an image")
    header = [plain(name).lower().replace(" ", "_") for name in rows.pop(0)[1]]
    if not rows:
        raise UserError(f"{path}: has a header and no rows")
    return header, rows


def _text(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MiB, the limit for a CSV")
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    how = "save it as CSV (in Excel: Save as, CSV UTF-8) and name that file"
    if kind := next((kind for magic, kind in _MAGIC if data.startswith(magic)), None):
        raise UserError(f"{path}: {kind}, not a CSV; {how}")
    if path.suffix.lower() in (".json", ".jsonl") or data.lstrip()[:1] in (b"{", b"["):
        raise UserError(f"{path}: JSON, not a CSV; {how}")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; {how}") from None
    if "\0" in text:
        raise UserError(f"{path}: no text, or UTF-16 without its mark; {how}")
    return text
