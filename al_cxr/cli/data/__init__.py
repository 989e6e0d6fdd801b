"""Look at a data set, check it, or fetch a public one."""

from __future__ import annotations

import argparse

from al_cxr.cli.command import add_commands
from al_cxr.cli.data import audit, fetch, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_commands(parser, (audit, show, fetch), "ACTION")
