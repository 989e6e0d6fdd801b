"""Download a public data set.

The only command that downloads data, and only what is asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from al_cxr.core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", help="kaggle[:OWNER/NAME] or medmnist:FLAG")
    parser.add_argument("--out", type=Path, help="folder to download to (data/chest-xray or data/medmnist)")
    parser.add_argument(
        "--size", type=int, default=64, choices=(28, 64, 128, 224), help="medmnist: pixels a side (%(default)s)"
    )


def call(options: argparse.Namespace) -> None:
    kind, _, name = options.what.partition(":")
    if kind == "kaggle":
        _fetch_kaggle(name, options.out or Path("data/chest-xray"))
    elif kind == "medmnist" and name:
        _fetch_medmnist(name, options.size, options.out or Path("data/medmnist"))
    else:
        raise UserError(f"{options.what!r}: no such public data set; give kaggle, kaggle:OWNER/NAME or medmnist:FLAG")


def _fetch_kaggle(slug: str, out: Path) -> None:
    from al_cxr.data.sources import kaggle

    folder = kaggle.fetch(slug or kaggle.DEFAULT_SLUG, out)
    print(f"fetched   {folder}; try `al-cxr data audit {folder}`")


def _fetch_medmnist(flag: str, size: int, root: Path) -> None:
    from al_cxr.config import DataSettings, MedmnistSource
    from al_cxr.core.drafts import writing
    from al_cxr.data.sources import medmnist

    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    source = MedmnistSource.model_validate(
        {"kind": "medmnist", "flag": flag, "pixels": size, "root": str(root), "download": True}
    )
    try:
        dataset = medmnist.load(source, DataSettings(sources=[source], image_size=max(28, size)))
    except UserError:
        with contextlib.suppress(OSError):  # not empty: there was something before
            os.removedirs(root)
        raise
    print(f"fetched   {len(dataset):,} images; use them with --data medmnist:{flag}-{size}@{root}")
