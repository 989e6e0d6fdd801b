"""Say what is labelled, how good the model is, what it would take to go on, and whether to stop.

All that is measured rests on the audit: images that were asked at random and that no model learns from.
"""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.label.options import add_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, for other programs")


def call(options: argparse.Namespace) -> None:
    import json

    from al_cxr.labelling.status_text import lines_of

    project = al_cxr.LabellingProject.open(options.project)
    status = project.status()
    if options.json:
        print(json.dumps(status.as_json(), indent=1))
    else:
        print("\n".join(lines_of(status, project.settings)))
    project.close()
