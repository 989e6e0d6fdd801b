"""Arguments that the commands about a labelling project share, and what they print alike."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_cxr.labelling.project import Project


def add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the folder that `al-cxr label start` made")


def add_reader(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reader", default="reader", help="who reads (default: %(default)s)")


def say_scan(project: Project) -> None:
    """What the last look at the archive found; what was left out is listed in a file."""
    from al_cxr.labelling.left_out import write_left_out

    found = project.scanned
    assert found is not None
    patients = f" of {found.patients:,} patients" if found.patients else ", patients unknown"
    print(f"archive   {project.settings.archive.source} · {found.images:,} images{patients}")
    news = {"new": found.joined, "no longer there": len(found.gone), "there again": found.back}
    if project.journal.state.questions and (changed := [f"{n:,} {what}" for what, n in news.items() if n]):
        print(f"changed   {' · '.join(changed)}")
    if found.copies:
        print(f"note      {found.copies:,} files are copies of others and count once")
    if found.left_out:
        file = write_left_out(project.folder, found.left_out)
        print(f"warning   {len(found.left_out):,} images are left out; {file} says why")
    if not found.patients and found.images > 1:
        print(
            "note      without patient ids each image counts as a patient of its own: two images of one person may be "
            "learned from and tested on"
        )


def compute_features(project: Project) -> None:
    """All that are missing, with progress; it may be stopped at any time."""
    from al_cxr.core.progress import Progress

    missing = len(project.chooser.features.missing())
    if missing:
        with Progress(missing, "looking at the images") as bar:
            while done := project.prepare():
                bar.update(done)
    if unreadable := project.chooser.features.unreadable:
        name = project.archive.images[min(unreadable)].name
        print(f"warning   {len(unreadable):,} images cannot be decoded, e.g. {name}: {unreadable[min(unreadable)]}")
