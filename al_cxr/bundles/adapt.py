"""A bundle for another hospital: its heads adapted to a folder of images from there (al_cxr.models.adaptation)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from al_cxr.bundles.answers import BATCH, serving_runtime
from al_cxr.bundles.bundle import Bundle, portable
from al_cxr.bundles.decoding import decoded
from al_cxr.bundles.folder import must_be_new, write_bundle
from al_cxr.bundles.inputs import Inputs
from al_cxr.bundles.record import Adapted
from al_cxr.core.checkpoint import save_tensors
from al_cxr.core.errors import UserError
from al_cxr.core.records import write
from al_cxr.data.dicom import said as dicom
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.quality.gate import Gate, near_copies
from al_cxr.data.quality.odd import framed
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.shared_backbones import BackboneKey, backbone_key, features_of
from al_cxr.models.adaptation import CANNOT, FEWEST, FeatureMoments, can_adapt, too_few
from al_cxr.models.backbone import Backbone


def adapt_bundle(
    bundle: Bundle, inputs: Inputs, out: Path, workers: int, note: Callable[[int], Any]
) -> tuple[Adapted, list[str]]:
    """The folder `out` with the bundle adapted to the images; a member without standardised features stays as it is.

    Images with nothing to see on them and copies of others are left out. Temperature, threshold and abstention stay
    too. `note(n)` is told how many images are done. Returns what was done, and what has to be known of the files: which
    are DICOM, whose brightness was guessed, what the gate says of them. UserError where nothing can be adapted, where
    too few images are left, and where `out` is there already.
    """
    must_be_new(out)  # before the work, not after it
    runtime = serving_runtime()
    networks = bundle.networks(runtime)
    chosen: dict[BackboneKey, tuple[Fit, Backbone]] = {}
    for fit, network in zip(bundle.fits, networks, strict=True):
        what = backbone_key(network, [])
        if what is not None and isinstance(network, Backbone) and can_adapt(network):
            chosen.setdefault(what, (fit, network))
    if not chosen:
        raise UserError(f"{bundle.record.name}: {CANNOT}")

    moments = {what: FeatureMoments() for what in chosen}
    gate, small = Gate(bundle.usual), list[np.ndarray]()
    skipped, doubts = [reason for _, reason in inputs.skipped], list[tuple[str, str]]()
    with closing(decoded(inputs, bundle.record.image_size, workers, 0)) as stream:
        for chunk in stream:
            gate.check(chunk.names, chunk.pixels_NSS, chunk.files)
            pixels_MSS = chunk.pixels_NSS[gate.first_N[len(gate.names) - len(chunk.names) :]]
            small.append(framed(pixels_MSS))
            for what, (fit, backbone) in chosen.items():
                if not len(pixels_MSS):
                    break
                batches = fit.loader(pixels_MSS, runtime).batches(np.arange(len(pixels_MSS)), BATCH)
                moments[what].add(features_of(backbone, batches, runtime.device).features_NK)
            skipped += [reason for _, reason in chunk.bad]
            doubts += chunk.doubts
            note(len(chunk))

    count = gate.different
    said = [*gate.odd("they are left out"), *gate.repeated("each is adapted to once"), *gate.outliers(), *gate.unlike()]
    near = near_copies(np.concatenate(small)) if small else 0
    if near:
        said.append(f"{near:,} of the {count:,} images left are nearly copies of others: they count more than once")
    if count - near < FEWEST:
        raise UserError("; ".join([too_few(count - near), *said]))
    made = Adapted(images=count, skipped=len(skipped), members=sum(map(can_adapt, networks)))
    with tempfile.TemporaryDirectory() as folder:
        fits = []
        for number, (fit, network) in enumerate(zip(bundle.fits, networks, strict=True), start=1):
            what = backbone_key(network, [])
            if what in moments and isinstance(network, Backbone) and can_adapt(network):
                network.head = moments[what].fit(network.head)
            fits.append(Fit(Path(folder, str(number)), fit.record))
            fits[-1].folder.mkdir()
            write(fits[-1].folder / "model.json", portable(fit.model_card()))
            save_tensors(fits[-1].folder / "model.safetensors", network.state_dict())
        record = bundle.record.model_copy(update={"adapted": made})
        write_bundle(Bundle(record, tuple(fits), bundle.seen, bundle.validation, bundle.usual), out)
    return made, [*dicom.summary(skipped), *doubt_lines(doubts, len(gate.names)), *said]
