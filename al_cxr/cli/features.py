"""Compute the features of an archive with a frozen backbone, once, on all cores.

Nothing needs a label. What an earlier start has decoded and computed is kept in the cache and not done again, in
whichever archive it was; a start that was killed goes on. Experiments with `model.tune: frozen` on the same images and
settings find the features there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_cxr.core.errors import UserError

if TYPE_CHECKING:
    from al_cxr.training.archive import ArchiveFeatures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "archive",
        help="a folder, searched with all folders below it, a CSV with a column path, a DICOMDIR, or phantom[:COUNT]",
    )
    parser.add_argument(
        "--arch", default="efficientnet_lite0", help="a backbone with pretrained weights (default: %(default)s)"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the backbone, as under model.options of an experiment file; may be repeated",
    )
    parser.add_argument("--size", type=int, default=224, help="pixels a side (default: %(default)s)")
    parser.add_argument(
        "--engine",
        choices=("torch", "openvino", "torch_float16"),
        default="torch",
        help="what computes: torch, openvino (faster on a CPU), torch_float16 (for a GPU) (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=0, help="cores that decode and compute (default: all)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder that pixels and features are kept in (default: the user's)")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="compute on Ray: on the cluster at this address (or auto), else on a Ray of this machine alone",
    )
    parser.add_argument("--out", type=Path, help="a CSV to write: path, row of each image's features, why it has none")
    parser.add_argument("--plan", action="store_true", help="print what is there and how long the rest takes, and stop")
    from al_cxr.cli.options import add_files_options

    add_files_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api.features import feature_pass, features_of, open_archive
    from al_cxr.config.files import parse_override
    from al_cxr.core.drafts import write_atomically
    from al_cxr.core.progress import Working, duration
    from al_cxr.data.doubts import doubt_lines

    given: dict[str, Any] = {}
    for option in options.option:
        key, equals, _ = option.partition("=")
        if not equals or "." in key:
            raise UserError(f"--option {option}: write an option of the backbone and its value, e.g. name=resnet50")
        given |= parse_override(option)
    with Working("reading the archive"):
        archive = open_archive(options.archive, options.root, options.follow_links)
    stamp = " (synthetic: no patient was imaged)" if archive.synthetic else ""
    others = f", and {archive.others:,} files that are no images" if archive.others else ""
    print(f"archive   {options.archive}{stamp} · {len(archive.images):,} images{others}")
    network = feature_pass(
        options.arch, given, options.size, options.engine, options.workers, options.device, options.cache
    )
    print(
        f"backbone  {options.arch} · {network.width:,} features of an image at {options.size} × {options.size} px · "
        f"engine {options.engine} on {network.runtime.device}, {network.workers} cores"
    )
    if not network.backbone.pretrained:
        print("warning   random weights: such features say little of an image; name a file with --option weights=FILE")
    if options.plan:
        plan = network.estimate(archive.images)
        kept = "known once they are decoded" if plan.missing is None else f"{plan.images - plan.missing:,}"
        print(f"there     decoded {plan.decoded:,} of {plan.images:,} · features {kept}")
        if plan.missing == 0:
            print("to do     nothing: all features are there")
            return
        room = f"{_size(plan.pixels_bytes + plan.features_bytes)} in {plan.folder}"
        print(f"to do     about {duration(plan.seconds)}, from a trial on some of them; {room}")
        return
    made = features_of(archive, network.run(archive.images) if options.ray is None else _on_ray(options, given))
    for note in made.notes:
        print(f"warning   {note}")
    for line in doubt_lines(made.left_out, len(archive.images) + len(archive.left_out)):
        print(f"left out  {line}")
    if options.out is not None:
        write_atomically(options.out, _table(made.names, made.left_out).encode())
        print(f"table     {options.out}")
    if made.computed:
        speed = made.computed / max(made.seconds, 1e-9)
        print(f"computed  {made.computed:,} images in {duration(made.seconds)}, {speed:,.1f} a second")
    else:
        print("computed  nothing: all features were there")
    rows, width = made.features_NK.shape
    print(f"features  {made.path}: {rows:,} × {width:,}, {_size(made.path.stat().st_size)}")


def _on_ray(options: argparse.Namespace, given: dict[str, Any]) -> ArchiveFeatures:
    import json

    from al_cxr.api.features import Opened
    from al_cxr.config import Ray
    from al_cxr.core.cache import default_cache
    from al_cxr.experiment.engines.ray_features import features_on_ray

    opened = Opened(
        options.archive,
        None if options.root is None else str(options.root),
        options.follow_links,
        options.arch,
        json.dumps(given, sort_keys=True),
        options.size,
        options.engine,
        options.device,
        str((options.cache or default_cache()).expanduser().absolute()),
    )
    return features_on_ray(opened, Ray(address=options.ray or None, cpus=1, gpus=float(options.device == "cuda")))


def _table(names: list[str], left_out: list[tuple[str, str]]) -> str:
    import csv
    import io

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "row", "left_out"])
    rows.writerows((name, row, "") for row, name in enumerate(names))
    rows.writerows((name, "", reason) for name, reason in left_out)
    return text.getvalue()


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"
