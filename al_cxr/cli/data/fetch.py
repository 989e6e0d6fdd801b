"""Download a public data set.

The only command that downloads data, and only what is asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", help="kaggle[:OWNER/NAME] or medmnist:FLAG[-PIXELS]")
    parser.add_argument("--out", type=Path, help="folder to download to (default: a folder of its own in data/)")
    parser.add_argument("--size", type=int, choices=(28, 64, 128, 224), help="medmnist: pixels a side (64)")


def call(options: argparse.Namespace) -> None:
    from al_cxr.data.sources.named import named_source
    from al_cxr.data.sources.source import kinds

    source = named_source(options.what)
    if not source.fetchable:
        usages = " or ".join(kind.usage for kind in kinds().values() if kind.fetchable)
        raise UserError(f"{options.what!r}: no such public data set; give {usages}")
    if options.size is not None:
        if "pixels" not in type(source).model_fields:
            raise UserError(f"--size: does not apply to {source.describe()}; leave it out")
        source = source.model_copy(update={"pixels": options.size})
    fetched = source.fetch(options.out)
    print(f"fetched   {fetched}; look at it with `al-cxr data audit {fetched}`")
