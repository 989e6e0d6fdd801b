"""Copy an experiment file that comes with al-cxr, to edit it.

The files that it extends are copied too. A file of yours is never overwritten.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="its name, for example tb_entropy")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the copy (default: this one)")


def call(options: argparse.Namespace) -> None:
    from al_cxr.config import shipped

    written = shipped.copy(options.experiment, options.out)
    for path in written:
        print(f"file      {path}")
    if not written:
        print(f"file      {options.out / options.experiment}.yaml is there already, as it comes with al-cxr")
