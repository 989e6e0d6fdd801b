"""Take a reader's last answer back; its question comes again."""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.label.options import add_project, add_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    add_reader(parser)


def call(options: argparse.Namespace) -> None:
    project = al_cxr.LabellingProject.open(options.project)
    asked = project.undo(options.reader)
    print(f"undone    the last answer of {asked.reader}, about {asked.name}; it is asked again")
    project.close()
