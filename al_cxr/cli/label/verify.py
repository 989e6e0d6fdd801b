"""Check that a project's log is complete and unchanged."""

from __future__ import annotations

import argparse

from al_cxr.cli.label.options import add_project
from al_cxr.core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.labelling.log import EventLog
    from al_cxr.labelling.opening import LOG
    from al_cxr.labelling.settings import read_settings
    from al_cxr.labelling.verify import verify

    read_settings(options.project)  # a folder that is no project is said so
    with EventLog.open(options.project / LOG) as log:
        if found := verify(log):
            raise UserError("\n".join(f"{log.path}: {line}" for line in found))
        number, digest = log.head()
    print(f"verified  {log.path}: {number:,} events, complete and unchanged; the last has the hash {digest}")
