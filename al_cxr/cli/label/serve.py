"""Serve a project's page to a browser: one image, one key, the next image.

On this machine alone, unless --host says otherwise; then every reader needs a token (`al-cxr label token`).
"""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.label.options import add_project, add_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    add_reader(parser)
    add_address(parser)


def add_address(parser: argparse.ArgumentParser) -> None:
    """Where to listen."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, nobody else)")
    parser.add_argument("--port", type=int, default=8317, help="0 for any that is free (default: %(default)s)")
    parser.add_argument(
        "--name",
        dest="names",
        action="append",
        default=[],
        help="name by which browsers reach it, e.g. that of a proxy; may be repeated",
    )
    parser.add_argument("--tls", action="store_true", help="browsers come by https, through a proxy")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")


def call(options: argparse.Namespace) -> None:
    serve(al_cxr.LabellingProject.open(options.project), options)


def serve(project: al_cxr.LabellingProject, options: argparse.Namespace) -> None:
    """Until it is stopped."""
    from al_cxr.core.errors import UserError

    try:
        from al_cxr.server import serving
    except ModuleNotFoundError as error:
        raise UserError(f'the page needs {error.name}: pip install "al-cxr[label]"') from None
    if not 0 <= options.port < 2**16:
        raise UserError(f"--port {options.port}: a port is 0 to {2**16 - 1}")
    address = serving.Address(options.host, options.port, tuple(options.names), options.tls)
    folder = project.folder
    try:
        serving.serve(
            project,
            lambda: al_cxr.LabellingProject.open(folder),
            options.reader,
            address,
            browser=not options.no_browser,
            say=lambda line: print(line, flush=True),
        )
    finally:
        project.close()
