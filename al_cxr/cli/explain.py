"""Show where a trained model looked: each image beside a map, as a PNG.

A map shows what the network used, which is not where a finding is. Of an ensemble it is the mean map.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.options import MODEL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help=MODEL)
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument(
        "--out", type=Path, default=Path("explanations"), help="folder of the PNGs (default: %(default)s)"
    )
    parser.add_argument("--class", dest="label", help="class to explain (default: the model's target)")


def call(options: argparse.Namespace) -> None:
    from al_cxr.api.explain import explain_images

    explain_images(options.model, options.images, options.out, options.label)
