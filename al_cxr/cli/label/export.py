"""Write the labels of a project into a folder, with a datasheet.

csv gives labels.csv, which `al-cxr` reads as data, answers.csv and dropped.csv. imagefolder copies the images into a
folder for each class, under names that say nothing of the patient.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.label.options import add_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--to", choices=("csv", "imagefolder"), default="csv", help="which kind (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the folder to write (default: PROJECT-labels or PROJECT-images)")


def call(options: argparse.Namespace) -> None:
    from al_cxr.labelling.archive import Archive
    from al_cxr.labelling.export import export_imagefolder, export_tables
    from al_cxr.labelling.journal import Journal
    from al_cxr.labelling.opening import LOG
    from al_cxr.labelling.settings import read_settings

    settings = read_settings(options.project)
    name = options.project.resolve().name
    with Journal.open(options.project / LOG) as journal:
        state, head = journal.state, journal.log.head()
    if options.to == "csv":
        out = options.out or options.project.with_name(f"{name}-labels")
        files = export_tables(state, head, out, name)
    else:
        archive = Archive(settings.archive)
        archive.update(state.images)
        out = options.out or options.project.with_name(f"{name}-images")
        files = export_imagefolder(state, head, out, name, lambda image: archive.path(archive.index_of[image]))
    kinds = ", ".join(file.name for file in files if file.parent == out)
    print(f"exported  {len(state.labels()):,} labels into {out}: {kinds}")
