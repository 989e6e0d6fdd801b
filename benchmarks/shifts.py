r"""How much of a model's skill is left when its test images come from other machines.

    al-cxr baseline experiments/transfer.yaml
    al-cxr baseline experiments/shenzhen_features.yaml
    al-cxr baseline experiments/finetune.yaml --profile shenzhen
    python benchmarks/shifts.py data/cxr/shenzhen.csv runs/baseline-transfer/efficientnet_lite2 \
        runs/baseline-transfer/efficientnet_lite2+runs/baseline-finetune-shenzhen/efficientnet_lite2

The published table has runs/baseline-transfer-children too, which experiments/finetune.yaml says how to make.

Every test image is changed in a way that another hospital's machine would change it, and the models, ensembles of
their seeds, answer again at the threshold that validation gave them: as they are, and after their heads were adapted to
the changed images, without labels (models.adaptation). experiments/transfer.yaml varies the same kinds of things in
training. A change made here is no other hospital: it shows what a model hangs on, not how it will do there.
"""

from __future__ import annotations

import argparse
import shlex
import string
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from sklearn.metrics import roc_auc_score
from torch import nn

from al_cxr.bundles.answers import BATCH, serving_runtime
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import assemble
from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.data.load import load_for_evaluation
from al_cxr.data.loader import FeatureLoader
from al_cxr.data.sources.named import named_source
from al_cxr.data.store import PixelStore
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.experiment.shared_backbones import SharedBackbones, backbone_key
from al_cxr.models.adaptation import FeatureMoments, can_adapt
from al_cxr.models.backbone import Head
from al_cxr.sampling.scoring import predict
from al_cxr.training.runtime import Runtime

Shift = Callable[[Image.Image], Image.Image]


def gamma(exponent: float) -> Shift:
    return lambda image: image.point([round(255 * (value / 255) ** exponent) for value in range(256)])


def framed(image: Image.Image) -> Image.Image:
    """Smaller, in a black frame, with letters burnt in."""
    side = image.width
    out = Image.new("L", (side, side))
    out.paste(image.resize((round(0.78 * side), round(0.87 * side))), (round(0.11 * side), round(0.06 * side)))
    ImageDraw.Draw(out).text((0.72 * side, 0.05 * side), "L AP", fill=255, font_size=0.09 * side)
    return out


def zoomed(image: Image.Image) -> Image.Image:
    side = image.width
    return image.resize((side, side), box=(0.09 * side, 0.09 * side, 0.91 * side, 0.91 * side))


def stretched(image: Image.Image) -> Image.Image:
    side = image.width
    return image.resize((side, side), box=(0, 0.085 * side, side, 0.915 * side))


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(image.width / 140))


SHIFTS: dict[str, Shift] = {
    "none": lambda image: image,
    "darker (gamma 1.7)": gamma(1.7),
    "brighter (gamma 0.6)": gamma(0.6),
    "black frame and letters": framed,
    "zoom by 1.2": zoomed,
    "taller by 1.2": stretched,
    "blur": blurred,
    "frame, letters, blur and gamma 1.5": lambda image: gamma(1.5)(blurred(framed(image))),
}


def probabilities(
    bundle: Bundle,
    networks: list[nn.Module],
    pixels_NSS: np.ndarray,
    runtime: Runtime,
    shared: SharedBackbones,
) -> list[np.ndarray]:
    """Calibrated probabilities (N, C) of the ensemble as it is, and adapted to these images where that can be. `shared`
    keeps what frozen backbones make of them."""
    plain, adapted = [], []
    order = np.arange(len(pixels_NSS))
    for fit, network in zip(bundle.fits, networks, strict=True):
        part, loader = shared.part(network, backbone_key(network, []), fit.loader(pixels_NSS, runtime))
        plain.append(predict(part, loader.batches(order, BATCH)))
        adapted.append(plain[-1])
        if isinstance(part, Head) and isinstance(loader, FeatureLoader) and can_adapt(network):
            moments = FeatureMoments()
            moments.add(loader.features_NK)
            adapted[-1] = predict(moments.fit(part), loader.batches(order, BATCH))
    some = [plain, adapted] if any(map(can_adapt, networks)) else [plain]
    return [apply_temperature(mean_probs(probs_KNC), bundle.record.temperature) for probs_KNC in some]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder, CSV, phantom:COUNT or medmnist:FLAG")
    parser.add_argument("models", nargs="+", help="runs of one architecture, or parts of runs; A+B: both as one")
    parser.add_argument("--out", type=Path, help="write the table there, as markdown")
    options = parser.parse_args()
    runtime = serving_runtime()
    try:
        bundles = [assemble([Path(path) for path in paths.split("+")]) for paths in options.models]
        first = bundles[0].record
        dataset = load_for_evaluation(named_source(options.data), first.classes)
    except UserError as error:
        parser.error(str(error))
    pixels = {size: PixelStore.open(dataset.images, size).pixels for size in {b.record.image_size for b in bundles}}
    target = first.classes.index(first.target)
    positive_N = dataset.labels_N == target
    networks = [bundle.networks(runtime) for bundle in bundles]
    names, legend = [], []
    for letter, paths, some in zip(string.ascii_uppercase, options.models, networks, strict=False):
        names += [letter] + [f"{letter}, adapted"] * any(map(can_adapt, some))
        legend.append(f"- **{letter}**: {len(some)} networks of {' and '.join(paths.split('+'))}")
    lines = [
        "# Test images as from other machines",
        "    " + shlex.join(["python", "benchmarks/shifts.py", *sys.argv[1:]]),
        f"{dataset.stamp}, {len(dataset)} test images; {first.target}: ROC-AUC (sensitivity / specificity in %, at the "
        "threshold for 90 % sensitivity on validation). *adapted*: heads standardise by the features of the changed "
        f"images, without labels. {dataset.attribution or first.data.attribution}",
        "\n".join(legend),
        "| change | " + " | ".join(names) + " |\n| --- |" + " ---: |" * len(names),
    ]
    for name, shift in SHIFTS.items():
        cells: list[str] = []
        shared = {size: SharedBackbones(len(dataset), BATCH) for size in pixels}
        for bundle, some in zip(bundles, networks, strict=True):
            images_NSS = pixels[bundle.record.image_size]
            changed = np.stack([np.asarray(shift(Image.fromarray(np.asarray(image)))) for image in images_NSS])
            for probs_NC in probabilities(bundle, some, changed, runtime, shared[bundle.record.image_size]):
                cells.append(cell(probs_NC[:, target], positive_N, bundle.record.decision.threshold))
        lines[-1] += f"\n| {name} | " + " | ".join(cells) + " |"
        print(name, *cells, flush=True)
    stamp = f"{provenance.commit()}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
    if options.out is not None:
        write_atomically(options.out, ("\n\n".join([*lines, stamp]) + "\n").encode())


def cell(scores_N: np.ndarray, positive_N: np.ndarray, threshold: float | None) -> str:
    rates = "no threshold"
    if threshold is not None:
        yes_N = scores_N >= threshold
        rates = f"{100 * yes_N[positive_N].mean():.0f} / {100 * (~yes_N[~positive_N]).mean():.0f}"
    return f"{roc_auc_score(positive_N, scores_N):.3f} ({rates})"


if __name__ == "__main__":
    main()
