"""Give a reader a token, for a page that other machines reach; an earlier one ends.

It is shown this once: the project keeps only a salted hash of it.
"""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.label.options import add_project, add_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    add_reader(parser)


def call(options: argparse.Namespace) -> None:
    project = al_cxr.LabellingProject.open(options.project)
    token = project.new_token(options.reader)
    print(f"token     {token}    of {project.reader(options.reader)}; it is not shown again")
    print(f"next      al-cxr label serve {options.project} --host ADDRESS --name NAME, and open .../?token={token}")
    project.close()
