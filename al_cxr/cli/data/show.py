"""Draw some images of each class of a data set on one contact sheet."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import al_cxr
from al_cxr.cli.data.options import SHOWN_SIZE, add_data_options
from al_cxr.cli.options import source_of

if TYPE_CHECKING:
    import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser)
    parser.add_argument("--per-class", type=int, default=8, help="images of each class (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another number shows other images (default: %(default)s)")
    parser.add_argument("--split", choices=("train", "val", "test"), help="show only this split")
    parser.add_argument("--class", dest="label", help="show only this class")


def call(options: argparse.Namespace) -> None:
    from al_cxr.core.outputs import must_be_apart
    from al_cxr.data.doubts import doubt_lines
    from al_cxr.data.quality.gate import Gate
    from al_cxr.report.contact import reader, show

    source = source_of(options)
    must_be_apart(options.out, source.image_folder())
    dataset = al_cxr.load_data(source)
    counts = ", ".join(f"{name} {int((dataset.labels_N == i).sum()):,}" for i, name in enumerate(dataset.classes))
    print(f"data      {dataset.stamp} · {len(dataset):,} images: {counts}")
    for note in dataset.notes:
        print(f"warning   {note}")
    path = options.out / dataset.name / "contact-sheet.png"
    doubts: dict[str, str] = {}
    read, gate = reader(dataset.images, SHOWN_SIZE, doubts), Gate(None)

    def pixels(index_M: np.ndarray) -> np.ndarray:
        shown_MSS = read(index_M)
        gate.check([dataset.images.name(int(i)) for i in index_M], shown_MSS)
        return shown_MSS

    sheet = show(dataset, pixels, path, options.per_class, options.seed, options.split, options.label)
    odd = [*gate.odd("`al-cxr data audit` looks at all images"), *gate.repeated("the audit shows them")]
    for line in [*doubt_lines(doubts.items(), len(dataset)), *odd]:
        print(f"warning   {line}")
    print(f"sheet     {sheet}")
