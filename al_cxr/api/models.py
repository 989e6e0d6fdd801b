"""Trained models in use: opened, described, and asked where they looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from al_cxr.bundles.bundle import Bundle, is_bundle, must_be_outside, open_bundle
from al_cxr.bundles.bundle_records import LARGEST, BundleRecord
from al_cxr.bundles.bundling import assemble
from al_cxr.bundles.explain import explain as explained
from al_cxr.bundles.explain import method
from al_cxr.bundles.predict import answerer, serving_runtime
from al_cxr.core.errors import UserError
from al_cxr.core.names import known_class
from al_cxr.data import decode
from al_cxr.data.doubts import told
from al_cxr.data.quality.odd import look
from al_cxr.data.series import Series
from al_cxr.report.kit.figures import must_be_a_figure
from al_cxr.report.kit.text import file_name
from al_cxr.report.overlay import save_overlay

DISCLAIMER = "Research software: not a medical device, not for diagnosis."


def open_model(model: Path) -> Bundle:
    """A bundle; or a run, arm, seed or fit, bundled in memory."""
    if not model.is_dir():
        raise UserError(f"{model}: no such folder; give a bundle, or what `al-cxr run` or `baseline` wrote")
    return open_bundle(model) if is_bundle(model) else assemble([model], serving_runtime())


def description(record: BundleRecord) -> list[str]:
    """What a reader of the terminal has to know of a model, a line each."""
    r = record
    networks = "1 network" if r.members == 1 else f"{r.members} networks"
    lines = [f"model     {r.name}: {r.archs}, {networks}, {r.image_size} px, {', '.join(r.classes)}"]
    rule = f"by {LARGEST}; no threshold"
    if r.decision.threshold is not None:
        rule = f"{r.target} where P({r.target}) >= {r.decision.threshold:.4f}"
    lines.append(f"decision  {rule} for {r.decision.goal} on validation; temperature {r.temperature:.3f}")
    if r.adapted:
        images = f"{r.adapted.images:,} images without labels"
        lines.append(f"adapted   {r.adapted.members} of {r.members} networks, to {images}")
    rare = 100 * (1 - r.abstention.val_coverage)
    lines.append(f"abstain   where no probability reaches {r.abstention.confidence:.4f} ({rare:.1f} % of validation)")
    return lines + [f"warning   {caution}" for caution in r.cautions]


def explain(model: Path, images: list[Path], out: Path, label: str | None) -> None:
    """`al-cxr explain`: each image beside a map of where the network looked; of an ensemble, the mean map.

    An image that cannot be read is named and skipped. UserError where that leaves none, and before anything is drawn
    where a file would be overwritten that is no overlay of an earlier start.
    """
    files = _overlays(images, out)
    loaded = open_model(model)
    record = loaded.record
    shown = known_class(label or record.target, record.classes, "--class")
    target = record.classes.index(shown)
    runtime = serving_runtime()
    networks, answer = loaded.networks(runtime), answerer(loaded, runtime)
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
        for warning in told(((path.name, doubt) for doubt in reading.doubts), len(images)):
            print(f"warning   {warning}")
        pixels_1SS = reading.pixels[None]
        maps = []
        for fit, network in zip(loaded.fits, networks, strict=True):
            _, prepared = next(fit.loader(pixels_1SS, runtime).batches(np.arange(1), 1))
            maps.append(explained(network, prepared, target)[0].numpy())
        if what := look(pixels_1SS, loaded.usual)[0].what:
            print(f"warning   {path}: {what}")
        probability = answer(pixels_1SS).probs_NC[0, target]
        says = f"{how} · P({shown}) {probability:.3f}"
        save_overlay(file, pixels_1SS[0], np.mean(maps, axis=0), path.name, says, stamp)
        print(f"overlay   {file}: P({shown}) {probability:.3f}")
        drawn += 1
    if not drawn:
        raise UserError(f"none of {len(images):,} images could be read")
    skipped = len(images) - drawn
    print(f"overlays  {out}: {drawn:,} of {len(images):,} images" + f", {skipped:,} skipped" * (skipped > 0))


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
