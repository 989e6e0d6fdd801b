"""Take a reader's answers from a CSV file.

Each row is checked first: where one is wrong, nothing is taken, and the rows are named. Rows without a label stay open,
another answer to the same question corrects the first, and the same file again changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import al_cxr
from al_cxr.cli.label.options import add_project, add_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("answers", type=Path, help="the CSV of `al-cxr label ask`, with labels")
    add_reader(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.labelling.sheet import tell_file

    project = al_cxr.LabellingProject.open(options.project)
    told = tell_file(project, options.answers, options.reader)
    parts = [f"{told.new:,} new answers of {options.reader}"]
    parts += [f"{told.same:,} that were known"] if told.same else []
    parts += [f"{told.empty:,} rows without a label stay open"] if told.empty else []
    print(f"told      {' · '.join(parts)}")
    if project.learn():
        model = project.chooser.model
        assert model is not None
        print(f"model     trained on {model.labelled:,} labels; it asks the next questions")
    print(f"next      al-cxr label ask {options.project} · al-cxr label status {options.project}")
    project.close()
