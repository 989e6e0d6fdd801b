"""What a GPU does here: that it computes what the CPU computes, and how fast.

    python benchmarks/gpu.py --out gpu.md                  # under eight minutes on any CUDA card, with al-cxr alone
    python benchmarks/gpu.py --device cpu --tiny           # the same code in half a minute, without a card

First it compares training steps, Monte-Carlo scoring and features with the CPU, and prints every difference beside
its limit. Then it times scoring (against Baal, where that is installed), features and training, and says how much of
the card's own rate of matrix products that is. The most important comes first; what does not fit into --seconds is
left out, and said. Exit code 1 where a difference is outside its limit, or something failed or was not compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

import gpu_equality as equality
import gpu_speeds as speeds
import torch
from gpu_cases import FULL, TINY, Bench

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.progress import mute
from al_cxr.training.runtime import Runtime, _candidates, device_named


class Page:
    """What was found so far, printed and written part by part; `failed` where something is wrong."""

    def __init__(self, out: Path | None) -> None:
        self.failed = False
        self._out, self._parts = out, list[str]()

    def add(self, text: str) -> None:
        print(text, end="\n\n", flush=True)
        self._parts.append(text)
        if self._out is not None:
            write_atomically(self._out, ("\n\n".join(self._parts) + "\n").encode())

    def part(self, title: str, texts: Iterable[str], until: float) -> bool:
        """A part of the page; whether it was begun in time and made."""
        self.add(f"## {title}")
        if time.monotonic() > until:
            self.add("Left out: the time that --seconds gives is used up.")
            return False
        try:
            for text in texts:
                self.add(text)
            return True
        except Exception as error:  # any: the other parts say something all the same
            traceback.print_exc()
            self.add(f"**Failed**: {type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}")
            self.failed = True
            return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--tiny", action="store_true", help="small networks and few images: whether it runs at all")
    parser.add_argument("--seconds", type=float, default=420, help="after so many nothing new is begun (%(default)g)")
    parser.add_argument("--out", type=Path, help="write the page there, as markdown")
    options = parser.parse_args(arguments)
    try:
        device = device_named(options.device)
    except UserError as error:
        parser.error(str(error))
    half = next(iter(_candidates(device)), "")
    page = Page(options.out)
    words = sys.argv[1:] if arguments is None else arguments
    page.add("# A GPU, compared with the CPU and timed" if device != "cpu" else "# A CPU in place of a GPU")
    page.add("    " + shlex.join(["python", "benchmarks/gpu.py", *words]))
    page.add(described(device, half))
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(device, "fp32", True, torch.get_num_threads(), 256, 1e9)
        scale = TINY if options.tiny else FULL
        bench = Bench.open(runtime, half, scale, Path(folder), options.seconds)
        compared = [
            page.part(f"Does it compute what the CPU computes? {what}", checked(checks, page), bench.until)
            for what, checks in (
                ("Training", equality.training(bench)),
                ("Monte-Carlo scoring", equality.scoring(bench)),
                ("Features", equality.features(bench)),
            )
        ]
        rates: dict[str, float] = {}
        page.part("The rate of matrix products", measured_rates(bench, rates), bench.until)
        for what, tables in (
            (f"Scoring, {scale.passes} passes", speeds.scoring(bench)),
            ("Features", speeds.features(bench)),
            ("Training", speeds.training(bench)),
        ):
            page.part(what, (timed(*table, rates) for table in tables), bench.until)
    wrong = page.failed or not all(compared)
    verdict = "**Something is outside its limit, failed or was not compared.**" if wrong else "All within their limits."
    page.add(f"{verdict} {provenance.commit()}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items()))
    return int(wrong)


def checked(checks: Iterable[equality.Check], page: Page) -> Iterable[str]:
    """One table of comparisons; each difference outside its limit is a failure."""
    rows = []
    for check in checks:
        page.failed |= not check.within
        rows.append(f"| {' | '.join(check.cells)} |")
    yield "\n".join(["| what | difference | limit | within | |", "| --- | ---: | ---: | --- | --- |", *rows])


def measured_rates(bench: Bench, rates: dict[str, float]) -> Iterable[str]:
    for precision in dict.fromkeys([*bench.precisions, *equality.ENGINES.values()]):
        rates[precision] = speeds.matrix_rate(bench, precision)
        side = bench.scale.matrix
        yield f"{precision}: {rates[precision] / 1e12:,.2f} TFLOPS, {side} x {side}."
    if importlib.util.find_spec("baal") is None:
        yield "Scoring is not compared with Baal: it is not installed here (`pip install baal`)."


def timed(title: str, rows: list[speeds.Speed], rates: dict[str, float]) -> str:
    """One table of speeds. The rate is the share of the matrix rate that the operations left run at."""
    rivals = [row.images_per_second for row in rows if row.what.startswith("Baal")]
    measured = [speed for speed in rivals if not math.isnan(speed)]
    against = ["× Baal default", "× Baal best"] if measured else []
    heads = ["how", "precision", "batch", "images/s", *against, "of the matrix rate"]
    lines = [f"{title}\n", f"| {' | '.join(heads)} |", "| --- | --- |" + " ---: |" * (len(heads) - 2)]
    for row in rows:
        speed = row.images_per_second
        ratios = [speed / rivals[0], speed / max(measured)] if measured else []
        share = 100 * row.flops * speed / rates.get(row.precision, math.nan)
        shown = [row.what, row.precision, str(row.batch), row.missing or f"{speed:,.0f}"]
        derived = [*(f"{ratio:.1f}" for ratio in ratios), f"{share:.1f} %"]
        shown += ["—" if value.startswith("nan") else value for value in derived]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def described(device: str, half: str) -> str:
    """The device, its driver and what it can do, in a sentence or two."""
    threads = f"the CPU has {torch.get_num_threads()} thread(s)"
    precisions = f"float32 without TF32{f' and {half}' if half else ''}"
    if device == "cpu":
        return f"cpu; torch {torch.__version__}; {precisions}; {threads}."
    facts = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    return (
        f"{facts.name}, compute capability {facts.major}.{facts.minor}, {total / 2**30:.1f} GiB of which "
        f"{free / 2**30:.1f} free, one of {torch.cuda.device_count()}; driver {driver()}, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()} (deterministic, not tuned), torch {torch.__version__}; {precisions}; "
        f"{threads}."
    )


def driver() -> str:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


if __name__ == "__main__":
    mute()
    sys.exit(main())
