"""From files to features: images a second and memory, al-cxr against what it was and against timm with a DataLoader.

    pip install -e ".[pretrained,openvino]"
    python benchmarks/archive.py --data data/cxr/images --out results/benchmarks/archive.md
    python benchmarks/archive.py --tiny                                # whether it runs, in a minute

Each measurement is a process of its own on the same cores, in turns. The clock begins when the libraries are imported
and the network is built, and ends when the features are in a file; processes that a way starts are in its time. timm's
DataLoader is first tried in several settings, and the fastest counts. Files of --data (JPEG, PNG) are copied, and
repeated with other bytes where there are too few; without --data, and for the largest number of images, they are
phantoms of few pixels, of which a few hundred are rendered and the others vary them. What was measured is kept in
--work, and the same command goes on there after it was stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from archive_files import copied, phantoms
from archive_ways import ENGINES, Job, written
from memory import PeakOfProcesses

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.data.store import cores

HERE = Path(__file__).parent
TRIED = 256
"""Images on which the DataLoader's settings are tried."""
RIVALS = ("before", "timm")
TITLES = {
    "before": "al-cxr before: float32, one thread, eight images a pass",
    "timm": "timm + DataLoader, float32, channels last, best of those tried",
    "torch": "al-cxr, PyTorch, one thread a core",
    "openvino": "al-cxr, OpenVINO, one thread a core",
    "decoding": "floor: decoding alone",
    "inference": "floor: the network alone, by the last of these engines",
}


@dataclass(frozen=True)
class Archive:
    """Files that features are made of."""

    files: Path
    counts: tuple[int, ...]
    """How many of them, each a measurement of its own."""
    size: int
    what: str


@dataclass(frozen=True)
class Found:
    """What one process took."""

    seconds: float
    cpu: float
    """Seconds of one core, its children's too: what it costs, whatever else the machine does."""
    bytes: float
    """Peak of it and of all that it started."""


class Bench:
    """Measures, and remembers on the disk what it measured."""

    def __init__(self, work: Path, backbone: str) -> None:
        self.work, self.backbone = work, backbone
        self._state = work / "measured.json"
        self._known: dict[str, list[float]] = json.loads(self._state.read_text()) if self._state.is_file() else {}

    def measure(self, way: str, files: Path, count: int, size: int, turn: int, **options: int) -> Found:
        """One way over so many files, once; what was measured before is not measured again."""
        key = f"{way} {files.name} {count} {size} {self.backbone} {options} {turn}"
        if key not in self._known:
            print(f"{time.strftime('%H:%M:%S')} {key}", file=sys.stderr, flush=True)
            found = self._run(way, files, count, size, options)
            self._known[key] = [found.seconds, found.cpu, found.bytes]
            write_atomically(self._state, json.dumps(self._known, indent=1).encode())
        return Found(*self._known[key])

    def _run(self, way: str, files: Path, count: int, size: int, options: dict[str, int]) -> Found:
        folder = self.work / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = Job(way, str(files), count, size, self.backbone, str(folder), options)
        (folder / "job.json").write_text(written(job))
        command = [sys.executable, str(HERE / "archive_ways.py"), str(folder / "job.json")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with process, PeakOfProcesses(process.pid) as peak:
            said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{way} failed; what it said stands above")
        if (sample := folder / "sample.npy").is_file():
            self.sample(way, files).parent.mkdir(exist_ok=True)
            sample.replace(self.sample(way, files))
        shutil.rmtree(folder)
        return Found(**json.loads(said.splitlines()[-1]), bytes=peak.bytes)

    def sample(self, way: str, files: Path) -> Path:
        """Where the features of the first images lie."""
        return self.work / "samples" / f"{way}-{files.name}.npy"

    def apart(self, way: str, files: Path) -> str:
        """How far features are from those of before: the length of the difference over the length."""
        if not self.sample(way, files).is_file() or way == "before":
            return "—"
        right, found = (np.load(self.sample(w, files)).astype(np.float64) for w in ("before", way))
        return f"{np.linalg.norm(found - right) / np.linalg.norm(right):.1g}"


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    bench = Bench(options.work, options.backbone)
    words = sys.argv[1:] if arguments is None else arguments
    parts = [
        "# From files to features",
        "    " + shlex.join(["python", "benchmarks/archive.py", *words]),
        f"{options.backbone}, {cores()} cores. *before* is al-cxr at commit dfe3ae5. *memory* is the peak of all "
        "processes together, libraries included; what several share or map counts once.",
    ]
    for archive in _archives(options):
        parts += _measured(bench, archive, options)
        print("\n\n".join(parts[-2:]), end="\n\n", flush=True)
        stamp = f"{provenance.commit()}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
        if options.out is not None:
            write_atomically(options.out, ("\n\n".join([*parts, stamp]) + "\n").encode())


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of image files; without it phantoms of --size pixels")
    parser.add_argument("--images", type=_counts, default=(1000, 10000), help="how many of them (%(default)s)")
    parser.add_argument("--size", type=int, default=224, help="pixels a side that the network sees (%(default)s)")
    parser.add_argument("--phantoms", type=_counts, default=(1000, 10000, 100000), help="small ones (%(default)s)")
    parser.add_argument("--phantom-size", type=int, default=64, help="pixels a side of those (%(default)s)")
    parser.add_argument("--backbone", default="efficientnet_lite0", help="that, efficientnet_lite2, or a model of timm")
    parser.add_argument("--engine", default="torch,openvino", help="of al-cxr, by commas (%(default)s)")
    parser.add_argument("--rivals", type=int, default=10**9, help="all but al-cxr: on so many images at most")
    parser.add_argument("--turns", type=int, default=3, help="with 1,000 images or fewer; with more there is one")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/archive"), help="folder for files and what was measured"
    )
    parser.add_argument("--out", type=Path, help="write the tables there, as markdown")
    parser.add_argument("--tiny", action="store_true", help="few small images and a small network")
    options = parser.parse_args(arguments)
    many = cores()
    options.settings = list(dict.fromkeys([(0, many, 32), (many, 1, 8), (many, many, 8), (many, many, 32)]))
    if options.tiny:
        options.images, options.size, options.turns = (16,), 32, 1
        options.phantoms, options.backbone, options.settings = (), "test_resnet", [(0, 1, 8)]
    return options


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _archives(options: argparse.Namespace) -> Iterator[Archive]:
    count, size = max(options.images), options.size
    if options.data is None:
        files, what = phantoms(options.work / f"phantoms-{size}", count, size), "phantoms"
    else:
        files, what = copied(options.data, options.work / "radiographs", count), f"files of {options.data}"
    yield Archive(files, options.images, size, what)
    if options.phantoms:
        count, size = max(options.phantoms), options.phantom_size
        files = phantoms(options.work / f"phantoms-{size}", count, size)
        yield Archive(files, options.phantoms, size, "phantoms")


def _measured(bench: Bench, archive: Archive, options: argparse.Namespace) -> list[str]:
    """A heading and what belongs below it."""
    loader, tried = _best_loader(bench, archive, options.settings)
    engines = options.engine.split(",")
    ways: dict[str, dict[str, int]] = {"before": {}, "timm": loader, **{engine: {} for engine in engines}}
    floors: dict[str, dict[str, int]] = {"decoding": {}, "inference": {"engine": ENGINES.index(engines[-1])}}
    lines = [
        "| images | how | images/s | × before | × timm | CPU, s per 1,000 | memory, MB | features differ by |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    peaks: dict[str, dict[int, float]] = {}
    for count in archive.counts:
        turns = options.turns if count <= 1000 else 1
        found: dict[str, list[Found]] = {way: [] for way in {**ways, **floors}}
        few = min(count, options.rivals)
        counts = {way: count if way in engines else few for way in found}
        for turn, way in itertools.product(range(turns), found):
            given = {**ways, **floors}[way]
            found[way].append(bench.measure(way, archive.files, counts[way], archive.size, turn, **given))
        speeds = {way: [counts[way] / one.seconds for one in turned] for way, turned in found.items()}
        for way, turned in found.items():
            against = [_ratio(speeds[way], speeds[rival]) for rival in RIVALS]
            peak = max(one.bytes for one in turned)
            cpu = f"{1000 * statistics.median(one.cpu for one in turned) / counts[way]:,.1f}"
            if way == "inference":  # its processes began before the clock
                cpu = "—"
            peaks.setdefault(way, {})[counts[way]] = peak
            only = "" if counts[way] == count else f", on the first {counts[way]:,} of them"
            lines.append(
                f"| {count:,} | {TITLES[way]}{only} | {statistics.median(speeds[way]):,.0f} | {' | '.join(against)} "
                f"| {cpu} | {peak / 2**20:,.0f} | {bench.apart(way, archive.files)} |"
            )
    text = "\n".join(lines)
    growth = [f"{TITLES[way]}: {_growth(peaks[way])}" for way in ways if len(peaks[way]) > 1]
    if len(archive.counts) > 1:
        text += "\n\nMemory from the fewest images to the most, a further image: " + "; ".join(growth) + "."
    return [f"## {archive.what[0].upper()}{archive.what[1:]}, {archive.size} px", f"{tried}\n\n{text}"]


def _best_loader(bench: Bench, archive: Archive, settings: list[tuple[int, int, int]]) -> tuple[dict[str, int], str]:
    """The DataLoader's fastest setting (workers, threads, batch), and a sentence on those that were tried."""
    count = min(TRIED, *archive.counts)
    speeds: dict[tuple[int, int, int], float] = {}
    for setting in settings:
        found = bench.measure("timm", archive.files, count, archive.size, 0, **_named(setting))
        speeds[setting] = count / found.seconds
    said = ", ".join(f"{'/'.join(map(str, setting))} {speed:,.0f}" for setting, speed in speeds.items())
    sentence = f"DataLoader, workers/threads/batch and images a second over {count} images: {said}."
    return _named(max(speeds, key=lambda setting: speeds[setting])), sentence


def _named(setting: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("workers", "threads", "batch"), setting, strict=True))


def _ratio(speeds: Sequence[float], rival: Sequence[float]) -> str:
    """Turn by turn; the middle one."""
    return f"{statistics.median(a / b for a, b in zip(speeds, rival, strict=True)):.1f}"


def _growth(peaks: dict[int, float]) -> str:
    """From peaks by number of images."""
    few, many = min(peaks), max(peaks)
    return f"{(peaks[many] - peaks[few]) / 1024 / (many - few):,.2f} KB"


if __name__ == "__main__":
    main()
