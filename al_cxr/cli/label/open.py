"""Label an archive in a browser: the project is made if it is not there, and its page is served.

The first questions come at once; the images are looked at while they are answered.
"""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.label import serve, start
from al_cxr.cli.label.options import add_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    start.add_arguments(parser)
    add_reader(parser)
    serve.add_address(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.labelling.settings import FILE

    if (options.project / FILE).is_file():
        project = al_cxr.LabellingProject.open(options.project)
    else:
        project = start.begin(options)
    serve.serve(project, options)
