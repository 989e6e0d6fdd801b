"""Write the images on which readers disagree into a CSV file, for another reader who decides.

The column said has what was said of an image, not who said it. The reader fills the column label, and `al-cxr label
tell` takes the file back. Images that this reader read are not among them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.label.options import add_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--reader", required=True, help="who decides")
    parser.add_argument("-n", type=int, default=20, help="how many at most (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("disagreements.csv"), help="the CSV to write (default: %(default)s)"
    )


def call(options: argparse.Namespace) -> None:
    import shlex
    from datetime import UTC, datetime

    from al_cxr.labelling.adjudication import hand_out, write_disagreements
    from al_cxr.labelling.archive import Archive
    from al_cxr.labelling.desk import Desk
    from al_cxr.labelling.journal import Journal
    from al_cxr.labelling.opening import LOG
    from al_cxr.labelling.queues import disagreements
    from al_cxr.labelling.settings import read_settings

    settings = read_settings(options.project)
    archive = Archive(settings.archive)
    with Journal.open(options.project / LOG) as journal:
        now = datetime.now(UTC)
        reader = Desk(settings, journal, archive, lambda: now).reader(options.reader)
        found = hand_out(journal, reader, options.n, now, settings.readers.file_days * 86_400)
        archive.update(journal.state.images)
        open_ones = len(disagreements(journal.state))
    if not found:
        print(f"done      {reader} has nothing to decide; readers disagree on {open_ones:,} images")
        return
    write_disagreements(found, lambda image: archive.path(archive.index_of[image]), options.out)
    print(f"asked     {len(found):,} of {open_ones:,} disagreements of {reader} in {options.out}")
    print(f"next      al-cxr label tell {options.project} {options.out} --reader {shlex.quote(reader)}")
