"""Take labels that were given elsewhere from a CSV file.

The file has a column label, and a column path (as in the archive) or image_hash: labels.csv of another project, or a
table of your own. Each row is checked first: where one is wrong, nothing is taken. The same file again changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.label.options import add_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("labels", type=Path, help="the CSV with the labels")
    parser.add_argument("--reader", default="imported", help="under whose name they stand (default: %(default)s)")


def call(options: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from al_cxr.labelling.importing import imported, read_labels
    from al_cxr.labelling.journal import Journal
    from al_cxr.labelling.opening import LOG
    from al_cxr.labelling.readers import reader_name
    from al_cxr.labelling.settings import read_settings

    read_settings(options.project)
    with Journal.open(options.project / LOG) as journal:
        labels = read_labels(options.labels, journal.state)
        reader = reader_name(options.reader, journal.state.readers)
        told = journal.turn(lambda state: imported(labels, state, reader, datetime.now(UTC)))
    new, answers = (sum(event.kind == kind for event in told) for kind in ("served", "answered"))
    parts = [f"{new:,} new labels"]
    parts += [f"{answers - new:,} changed"] if answers > new else []
    parts += [f"{len(labels) - answers:,} that were known"] if len(labels) > answers else []
    print(f"imported  {' · '.join(parts)}, under the name {reader}")
    if new:
        print("note      nobody is asked about these images any more: the audit is of the others")
