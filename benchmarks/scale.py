"""Seconds and memory of what follows features, at 1,000, 10,000 and 100,000 images, on one thread.

    python benchmarks/scale.py                                          # writes results/benchmarks/scale.md
    python benchmarks/scale.py --images 1000 --only "select b,report"   # cases whose name begins so

Every case has a process of its own: the seconds of its calls, of the processor and not of the clock, so that what else
the machine does has little part in them; and the memory that each needed at its peak beyond the inputs. A case that
takes longer than --limit is stopped, and not begun with more images.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memory import extra_bytes
from scale_selection import CASES as SELECTIONS
from scale_selection import Call, Case

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically


@dataclass(frozen=True)
class Measured:
    """Of one call: seconds, bytes beyond the inputs, and the number that it returned: bytes of a page."""

    seconds: float
    bytes: float
    number: int | None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--only", default="", help="beginnings of the names of cases, with commas between")
    parser.add_argument("--limit", type=float, default=240, help="seconds of the clock a case, with its inputs")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/scale.md"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps({key: vars(of) for key, of in measure(options.one, options.images[0]).items()}))
        return
    every, counts = SELECTIONS | others(), sorted(options.images)
    rows: dict[str, dict[int, str]] = {}
    for case in (name for name in every if name.startswith(tuple(options.only.split(",")))):
        for images in counts:
            found = in_a_process(case, images, options.limit)
            for key, of in found.items():
                row = f"{case}, {key}" if key else case
                rows.setdefault(row, {})[images] = cell(of)
                print(f"{row:40} {images:9,}   {cell(of)}", flush=True)
            if not found:
                print(f"{case:40} {images:9,}   stopped after {options.limit:g} s", flush=True)
                break
    command = shlex.join(["python", "benchmarks/scale.py", *(sys.argv[1:] if arguments is None else arguments)])
    versions = ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
    lines = ["# Seconds and memory at scale", "", f"    {command}", "", NOTES, "", *table(rows, counts)]
    write_atomically(options.out, "\n".join([*lines, "", provenance.commit(), versions, ""]).encode())


def others() -> dict[str, Case]:
    """The cases that need torch or a run, which take seconds to import."""
    from scale_cases import CASES

    return CASES


def in_a_process(case: str, images: int, limit: float) -> dict[str, Measured]:
    """The calls of a case, on one thread; empty where it was stopped."""
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, str(Path(__file__).resolve()), "--one", case, "--images", str(images)]
    run = {"env": os.environ | one_thread, "stdout": subprocess.PIPE, "timeout": limit, "check": True, "text": True}
    try:
        done = subprocess.run(command, **run)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        return {}
    return {key: Measured(**of) for key, of in json.loads(done.stdout.splitlines()[-1]).items()}


def measure(case: str, images: int) -> dict[str, Measured]:
    """The calls of a case, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        make = SELECTIONS[case] if case in SELECTIONS else others()[case]
        return {key: timed(call) for key, call in make(images, Path(folder)).items()}


def timed(call: Call) -> Measured:
    told: list[tuple[float, object]] = []

    def run() -> None:
        started = time.process_time()
        number = call()
        told.append((time.process_time() - started, number))

    peak = extra_bytes(run)
    (seconds, number), *_ = told
    return Measured(seconds, peak, number if isinstance(number, int) else None)


def cell(of: Measured) -> str:
    """Seconds and MB, and of a report the kB of its page."""
    page = "" if of.number is None else f", page {of.number / 1e3:,.0f} kB"
    return f"{of.seconds:,.2f} s, {of.bytes / 1e6:,.0f} MB{page}"


def table(rows: dict[str, dict[int, str]], images: Sequence[int]) -> list[str]:
    """A row a call, a column a number of images."""
    lines = [f"| {row} | {' | '.join(of.get(n, 'stopped') for n in images)} |" for row, of in rows.items()]
    return ["| what | " + " | ".join(f"{n:,}" for n in images) + " |", "| --- |" + " ---: |" * len(images), *lines]


NOTES = """\
One thread, measured once: seconds of the processor for a call, and the memory that its process needed at its peak
beyond its inputs.

Selection: 100 images, and 10 %, of N unlabelled ones with 1,280 features, 3 classes and 20 passes, beside a tenth as
many labelled ones, at most 1,000. Scoring: 20 passes; the CNN, a quarter as wide as the report's, scores at most 2,000
images. Ask and tell: 10 % in ten rounds. Comparison and report: a run of three arms, two seeds and five rounds, with
a tenth of the images in the test set."""

if __name__ == "__main__":
    main()
