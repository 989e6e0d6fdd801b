"""Where a trained model looked, drawn beside each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from al_cxr.bundles.answers import serving_runtime
from al_cxr.bundles.description import DISCLAIMER
from al_cxr.bundles.explain import explanation_maps, method
from al_cxr.bundles.folder import must_be_outside
from al_cxr.bundles.opening import open_bundle
from al_cxr.core.errors import UserError
from al_cxr.core.names import known_class
from al_cxr.data import decode
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.quality.odd import check_images
from al_cxr.data.series import Series
from al_cxr.report.kit.figures import must_be_a_figure
from al_cxr.report.kit.text import file_name
from al_cxr.report.overlay import save_overlay


def explain_images(model: Path, images: list[Path], out: Path, label: str | None) -> None:
    """`al-cxr explain`: each image beside a map of where the network looked; of an ensemble, the mean map.

    An image that cannot be read is named and skipped. UserError where that leaves none, and before anything is drawn
    where a file would be overwritten that is no overlay of an earlier start.
    """
    files = _overlays(images, out)
    loaded = open_bundle(model)
    record = loaded.record
    shown = known_class(label or record.target, record.classes, "--class")
    target = record.classes.index(shown)
    runtime = serving_runtime()
    networks, answer = loaded.networks(runtime), loaded.answerer()
    how = " and ".join(dict.fromkeys(map(method, networks)))
    stamp = (
        f"{record.name}: {how}, {record.image_size} px. Shows what the network used, which is not where a finding is. "
        f"{DISCLAIMER}"
    )
    drawn = 0
    series = Series(len(images), lambda i: images[i])
    for path, file in zip(images, files, strict=True):
        try:
            reading = decode.read(decode.read_file(path, str(path)), record.image_size, str(path), series.bits)
        except UserError as error:
            print(f"warning   {error}; skipped")
            continue
        for warning in doubt_lines(((path.name, doubt) for doubt in reading.doubts), len(images)):
            print(f"warning   {warning}")
        pixels_1SS = reading.pixels[None]
        maps = []
        for fit, network in zip(loaded.fits, networks, strict=True):
            _, prepared = next(fit.loader(pixels_1SS, runtime).batches(np.arange(1), 1))
            maps.append(explanation_maps(network, prepared, target)[0].numpy())
        if what := check_images(pixels_1SS, loaded.usual)[0].what:
            print(f"warning   {path}: {what}")
        probability = answer(pixels_1SS).probs_NC[0, target]
        says = f"{how} · P({shown}) {probability:.3f}"
        save_overlay(file, pixels_1SS[0], np.mean(maps, axis=0), path.name, says, stamp)
        print(f"overlay   {file}: P({shown}) {probability:.3f}")
        drawn += 1
    if not drawn:
        raise UserError(f"none of {len(images):,} images could be read")
    skipped = f", {len(images) - drawn:,} skipped" if drawn < len(images) else ""
    print(f"overlays  {out}: {drawn:,} of {len(images):,} images{skipped}")


def _overlays(images: list[Path], out: Path) -> list[Path]:
    """The file for each image, which no image before it has; UserError where one is not to be overwritten."""
    must_be_outside(out)
    found: dict[Path, None] = {}
    for path in images:
        stem = file_name(path.stem)
        file, number = out / f"{stem}.png", 1
        while file in found:
            number += 1
            file = out / f"{stem}-{number}.png"
        must_be_a_figure(file, images)
        found[file] = None
    return list(found)
