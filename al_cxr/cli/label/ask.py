"""Write the next questions of a reader into a CSV file.

The reader fills the column `label` with a class, or with unsure, skip, unreadable or not-frontal; `al-cxr label tell`
takes the file back. Questions that are not answered yet come again. With --doubtful it writes images that have a label
already, which models that have not learned from it take for wrong: the reader reads them again without seeing it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import al_cxr
from al_cxr.cli.label.options import add_project, add_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("-n", type=int, default=20, help="how many questions (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("next.csv"), help="the CSV to write (default: %(default)s)")
    add_reader(parser)
    parser.add_argument(
        "--doubtful", action="store_true", help="ask again for labelled images whose labels the models doubt most"
    )
    parser.add_argument(
        "--copies", type=Path, help="copy the images into this folder, under names that say nothing of them"
    )


def call(options: argparse.Namespace) -> None:
    from al_cxr.core.errors import UserError
    from al_cxr.labelling.sheet import write_questions

    if options.n < 1:
        raise UserError(f"-n {options.n}: ask for one image or more")
    project = al_cxr.LabellingProject.open(options.project)
    minutes = project.settings.readers.file_days * 24 * 60
    ask = project.ask_doubtful if options.doubtful else project.ask
    asked = ask(options.n, options.reader, minutes)
    if not asked:
        nothing = "no doubtful label is left to ask" if options.doubtful else "there is nothing left to ask"
        print(f"done      {nothing} {options.reader}; see `al-cxr label status {options.project}`")
        return
    write_questions(project, asked, options.out, options.copies)
    answers = ", ".join([*project.settings.classes, "unsure", "skip", "unreadable", "not-frontal"])
    print(f"asked     {len(asked)} questions of {asked[0].reader} in {options.out}")
    print(f"answers   fill the column label: {answers}")
    print(f"next      al-cxr label tell {options.project} {options.out} --reader {_quoted(asked[0].reader)}")
    project.close()


def _quoted(text: str) -> str:
    return f"'{text}'" if " " in text else text
