"""A bundle's answers to a stream of images: decoded by threads, a fixed number at a time, written as a CSV.

The numbers depend on the bundle and the image alone (and where a file of more than 8 bits does not state its depth, on
that of the others: `al_cxr.data.depth`). A prediction that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from al_cxr.bundles import decoding
from al_cxr.bundles.answers import BATCH
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.folder import must_be_outside
from al_cxr.bundles.inputs import Inputs
from al_cxr.bundles.predict import gate_sentences
from al_cxr.bundles.record import columns
from al_cxr.bundles.table import Row, csv_bytes, frame_of, rows_of
from al_cxr.core.drafts import sweep, write_atomically, writing
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_ours
from al_cxr.core.provenance import versions
from al_cxr.core.seeds import digest_text
from al_cxr.data import chest, decode
from al_cxr.data.dicom import said as dicom
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.quality import gate
from al_cxr.data.quality.odd import ImageCheck

SKIPPED: Row = ["path", "reason"]
"""Columns of the list of images that could not be read."""
MAX_LINE = 2**16
"""Bytes of the first line of a file that is asked whether `write_predictions` wrote it."""


@dataclass(frozen=True)
class Done:
    """How a prediction went: rows in the CSV, images that were skipped, and rows that an earlier start had made."""

    rows: int
    skipped: int
    reused: int
    warnings: tuple[str, ...] = ()
    """What a reader of the rows has to know about the files: which are DICOM, whose brightness was guessed, what
    the gate says of them."""


def write_predictions(
    bundle: Bundle,
    inputs: Inputs,
    out: Path,
    workers: int,
    note: Callable[[int], Any],
    resumed: Callable[[int], Any] | None = None,
) -> Done:
    """Answers to all inputs as the CSV `out`, and what was skipped, with reasons, as `skipped_file(out)`.

    `workers` threads decode. After every chunk it stands in OUT.partial, from which a later start with the same bundle
    and the same files goes on; `note(n)` is told how many more images are done, and `resumed(n)`, where it is given,
    how many were done by an earlier start. UserError where none could be read, and before anything is done where a
    file would be overwritten that is an input or no earlier output of this function.
    """
    _must_be_ours(out, inputs)
    header = list(columns(bundle.record))
    code = (
        f"{decode.VERSION} {chest.VERSION} {decoding.CHUNK} {BATCH} {json.dumps([versions(), header])} {gate.VERSION}"
    )
    key = digest_text(f"{bundle.identity()} {inputs.fingerprint} {code}")
    partial = _partial_file(out)
    done = _resumed(partial, key, inputs, workers)
    reused = sum(len(chunk["rows"]) for chunk in done)
    tell_resumed = note if resumed is None else resumed
    tell_resumed(min(len(done) * decoding.CHUNK, len(inputs.names)))
    if len(done) * decoding.CHUNK < len(inputs.names):
        answer = bundle.answerer()
        stream = decoding.decoded(inputs, bundle.record.image_size, workers, len(done) * decoding.CHUNK)
        with closing(stream):
            for chunk in stream:
                now = gate.Gate(bundle.usual)
                checks = now.check(chunk.names, chunk.pixels_NSS, chunk.files)
                made: list[Row] = []
                if chunk.names:
                    made = rows_of(frame_of(bundle.record, chunk.names, answer(chunk.pixels_NSS), checks))
                done.append({"rows": made, "skipped": chunk.bad, "doubts": chunk.doubts, "digests": chunk.digests})
                done[-1] |= {"checks": [astuple(one) for one in checks], "keys": now.keys}
                _append(partial, json.dumps(done[-1]).encode() + b"\n")
                note(len(chunk))
    skipped = [*map(list, inputs.skipped), *(line for chunk in done for line in chunk["skipped"])]
    rows = [row for chunk in done for row in chunk["rows"]]
    skipped_file(out).unlink(missing_ok=True)
    if skipped:
        write_atomically(skipped_file(out), csv_bytes(SKIPPED, skipped))
    warnings = dicom.summary(reason for _, reason in skipped)
    if not rows:
        partial.unlink(missing_ok=True)
        reasons = f"the reasons are in {skipped_file(out)}"
        raise UserError("; ".join([f"none of {len(skipped):,} images could be read", reasons, *warnings]))
    write_atomically(out, csv_bytes(header, rows))
    partial.unlink(missing_ok=True)
    warnings += doubt_lines(((name, doubt) for chunk in done for name, doubt in chunk["doubts"]), len(rows))
    warnings += _seen(bundle, done)
    return Done(len(rows), len(skipped), reused, tuple(warnings))


def _seen(bundle: Bundle, done: list[dict[str, Any]]) -> list[str]:
    """What the gate says of all images together."""
    whole = gate.Gate(bundle.usual)
    for chunk in done:
        whole.note([row[0] for row in chunk["rows"]], [ImageCheck(*one) for one in chunk["checks"]], chunk["keys"])
    return gate_sentences(whole)


def skipped_file(out: Path) -> Path:
    """Where the images that could not be read are listed: beside predictions.csv, predictions.skipped.csv."""
    return out.with_name(f"{out.stem}.skipped.csv")


def _partial_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def _must_be_ours(out: Path, inputs: Inputs) -> None:
    """UserError unless all three files are free or were written by `predict`, as their first lines tell."""
    must_be_outside(out)
    read = [inputs.path, *(inputs.root / name for name in inputs.names)]
    must_be_ours(out, lambda path: {"path", "abstain"} <= {*_first_line(path).split(",")}, read)
    must_be_ours(skipped_file(out), lambda path: _first_line(path) == ",".join(SKIPPED), read)
    must_be_ours(_partial_file(out), lambda path: _first_line(path).startswith('{"key": "'), read)


def _first_line(path: Path) -> str:
    with open(path, "rb") as f:
        return f.readline(MAX_LINE).decode(errors="replace").rstrip("\n")


def _append(partial: Path, line: bytes) -> None:
    with writing(partial), open(partial, "ab") as f:
        f.write(line)
        f.flush()
        os.fsync(f.fileno())


def _resumed(partial: Path, key: str, inputs: Inputs, workers: int) -> list[dict[str, Any]]:
    """The whole chunks of an earlier start with this key whose files are still the same, byte for byte; the file then
    ends after them, ready to be added to."""
    sweep(partial.parent)
    first = json.dumps({"key": key}).encode() + b"\n"
    try:
        lines = partial.read_bytes().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        lines = []
    if not lines or lines[0] != first:
        lines = [first]
    chunks = [line for line in lines[1:] if line.endswith(b"\n")]  # the last may be cut off
    done = [json.loads(line) for line in chunks]
    kept = decoding.unchanged(inputs, [digest for chunk in done for digest in chunk["digests"]], workers)
    write_atomically(partial, b"".join([first, *chunks[:kept]]))
    return done[:kept]
