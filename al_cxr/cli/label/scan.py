"""Look at the archive again: new images join, lost ones leave and come back.

What a start that was stopped has not looked at yet is looked at now.
"""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.label.options import add_project, compute_features, say_scan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--archive", help="where the archive lies now, if it has moved")


def call(options: argparse.Namespace) -> None:
    project = al_cxr.LabellingProject.open(options.project, options.archive)
    project.scan()
    say_scan(project)
    compute_features(project)
    project.close()
