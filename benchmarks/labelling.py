"""How long a reader waits: seconds and memory of a labelling project of 1,000, 10,000 and 100,000 images.

    python benchmarks/labelling.py                      # writes results/benchmarks/labelling.md
    python benchmarks/labelling.py --images 1000

The archive is of small files, each with bytes of its own, and the features of a frozen network are there already, drawn
from clusters: how long a network looks is in archive.py. Every number of images has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scale import Measured, cell, table, timed

from al_cxr.core import provenance
from al_cxr.core.checkpoint import save_tensors
from al_cxr.core.drafts import write_atomically
from al_cxr.labelling.answers import Answer
from al_cxr.labelling.features import ProjectFeatures
from al_cxr.labelling.project import Project
from al_cxr.labelling.status import status_of

CLASSES = ["normal", "pneumonia", "tuberculosis"]
WIDTH = 1280
"""Features of EfficientNet-Lite0."""
ANSWERS = 300
CLUSTERS = 30

NOTES = f"""\
One thread, measured once: seconds of the call, and the memory that the process needed at its peak beyond what it had.
Features ({WIDTH} an image) are kept already. *The first question* has chosen typical images of at most 10,000. After
{ANSWERS} answers: *a head* is trained on all labels and kept; *the pool scored anew* is the next question after that;
*the next question* takes what was proposed before. A reader waits for the next question and for an answer to be on the
disk; heads are trained meanwhile. The command begins in a shell, and its memory is all that it has."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--answers", type=int, default=ANSWERS, help="before the head is trained that is timed")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/labelling.md"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(options.images[0], options.answers, Path(folder))
        print(json.dumps({key: vars(of) for key, of in found.items()}))
        return
    rows: dict[str, dict[int, str]] = {}
    for images in sorted(options.images):
        given = ["--images", str(images), "--answers", str(options.answers), "--one"]
        one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        run = [sys.executable, __file__, *given]
        done = subprocess.run(run, stdout=subprocess.PIPE, check=True, text=True, env=one_thread)
        for key, of in json.loads(done.stdout.splitlines()[-1]).items():
            rows.setdefault(key, {})[images] = cell(Measured(**of))
            print(f"{key:60} {images:9,}   {rows[key][images]}", flush=True)
    command = shlex.join(["python", "benchmarks/labelling.py", *(sys.argv[1:] if arguments is None else arguments)])
    versions = ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
    lines = ["# Labelling: how long a reader waits", "", f"    {command}", "", NOTES, "", *table(rows, options.images)]
    write_atomically(options.out, "\n".join([*lines, "", provenance.commit(), versions, ""]).encode())


def measure(images: int, answers: int, folder: Path) -> dict[str, Measured]:
    """What a reader and a team do, in order."""
    write_archive(folder / "archive", images)
    made: list[Project] = []
    trained: list[bool] = []
    settings = {"machine": {"threads": 1}}
    found = {
        "start: list and identify the files": timed(
            lambda: made.append(Project.create(folder / "project", folder / "archive", CLASSES, None, settings))
        )
    }
    write_features(made[0], folder / "project")
    made.pop().close()
    found["open the project"] = timed(lambda: made.append(Project.open(folder / "project")))
    (project,) = made
    found["the first question"] = timed(lambda: project.ask(1))
    answer(project, answers)
    project.learn()
    answer(project, project.settings.head.every)
    found["a head trained on all labels"] = timed(lambda: trained.append(project.learn()))
    found["the pool scored anew, and the next question"] = timed(lambda: project.ask(1))
    (asked,) = project.ask(1)
    found["an answer on the disk"] = timed(lambda: project.tell(asked.question, "normal"))
    found["the next question"] = timed(lambda: project.ask(1))
    found["the status"] = timed(lambda: status_of(project))
    project.close()
    found[f"`al-cxr label ask -n 20`, {answers} answers later"] = command(
        "label", "ask", str(folder / "project"), "-n", "20", "--out", str(folder / "next.csv")
    )
    return found


def command(*arguments: str) -> Measured:
    """A command, from its start in a shell to its end, and the most memory that it had in all."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "al_cxr", *arguments], stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - started
    return Measured(seconds, 1024.0 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, None)


def write_archive(folder: Path, images: int) -> None:
    """Files that are told apart by their bytes, a thousand a folder; none is decoded."""
    for number in range(images):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03}").mkdir(parents=True)
        (folder / f"{number // 1000:03}" / f"{number:06}.png").write_bytes(b"\x89PNG\r\n\x1a\n%d" % number * 20)


def write_features(project: Project, folder: Path) -> None:
    """Features of clusters for all images, where the project looks for them."""
    draw = np.random.default_rng(0)
    centres_CK = draw.normal(size=(CLUSTERS, WIDTH)).astype(np.float32)
    features_NK = centres_CK[draw.integers(CLUSTERS, size=len(project.archive))]
    features_NK += draw.standard_normal(features_NK.shape, np.float32)
    digests = [image.digest for image in project.archive.images]
    where = ProjectFeatures(folder, project.settings, project.archive).folder
    save_tensors(where / "drawn.safetensors", {"features": torch.from_numpy(features_NK)}, digests)


def answer(project: Project, count: int) -> None:
    """So many answers, in batches as of a file; the class hangs on the image's number."""
    while count > 0:
        asked = project.ask(min(count, 50))
        project.tell_all([Answer(one.question, CLASSES[int(Path(one.name).stem) % 3]) for one in asked])
        count -= len(asked)


if __name__ == "__main__":
    main()
