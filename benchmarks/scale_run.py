"""The records of a run on N radiographs that was never trained: three arms, two seeds, five rounds, seeded predictions.

A tenth of the images are validation and a tenth test; each round asks for a tenth of the rest.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from al_cxr.config import Settings
from al_cxr.core.metrics import Metrics, measure
from al_cxr.core.records import (
    BaselineRecord,
    DataCard,
    Epoch,
    ExperimentRecord,
    FitRecord,
    QueryRecord,
    RoundRecord,
    Timing,
    write,
)

CLASSES = ("normal", "pneumonia", "tuberculosis")
ARMS = {"random": "random", "entropy": "entropy", "coreset": "coreset"}
ROUNDS, SEEDS = 5, (0, 1)


def write_run(folder: Path, images: int) -> None:
    """Everything that a comparison and a report read."""
    rng = np.random.default_rng(0)
    labels_N = np.resize([0, 0, 1, 2], images)
    split_N = np.repeat(["train", "val", "test"], [images - 2 * (images // 10), images // 10, images // 10])
    _write_images(folder, labels_N, split_N)
    pool = np.flatnonzero(split_N == "train")
    query = len(pool) // 10
    settings = Settings.model_validate(
        {
            "data": {"sources": [{"kind": "phantom"}]},
            "model": {"arch": "cnn"},
            "losses": {"cross_entropy": {"kind": "cross_entropy"}},
            "budget": {"seed": query, "query": query, "query_of": "number", "rounds": ROUNDS},
            "arms": {name: {"strategy": s, "loss": "cross_entropy"} for name, s in ARMS.items()},
            "seeds": list(SEEDS),
        }
    )
    counts = {
        s: {c: int(((split_N == s) & (labels_N == k)).sum()) for k, c in enumerate(CLASSES)} for s in set(split_N)
    }
    card = DataCard(
        name="made up",
        synthetic=True,
        classes=list(CLASSES),
        counts=counts,
        fingerprint="0" * 64,
        image_size=16,
        attribution="predictions drawn at random",
        notes=[],
    )
    experiment = ExperimentRecord(
        name="scale",
        settings=settings.model_dump(mode="json"),
        data=card,
        command="python benchmarks/scale.py",
        commit="unknown",
        versions={},
    )
    write(folder / "experiment.json", experiment)
    of = {split: np.flatnonzero(split_N == split) for split in ("val", "test")}
    for seed in SEEDS:
        hashes = {"initial_weights": "w", "loader": "l", "test_set": "t", "data": "d", "seed_set": "s", "masks": "m"}
        shared = {key: f"{value}{seed}" for key, value in hashes.items()}
        for arm, strategy in ARMS.items():
            order, labelled = rng.permutation(pool), 0
            at = folder / "arms" / arm / f"seed-{seed}"
            for number in range(ROUNDS + 1):
                new = order[labelled : labelled + query]
                labelled += query
                key = f"first-{seed}" if number == 0 else f"{arm}-{seed}-{number}"
                val, test = _fit(folder, key, labelled, 1.5 + 0.1 * number, labels_N, of)
                write(
                    at / f"round-{number}.json",
                    RoundRecord(
                        arm=arm,
                        strategy=strategy,
                        loss="cross_entropy",
                        seed=seed,
                        round=number,
                        n_labelled=labelled,
                        labelled_classes=_classes(labels_N[order[:labelled]]),
                        acquired=_classes(labels_N[new]),
                        hashes=shared,
                        fit=key,
                        val=val,
                        test=test,
                    ),
                )
                if number < ROUNDS:
                    chosen = order[labelled : labelled + query]
                    write(
                        at / f"query-{number}.json", _query(arm, strategy, seed, number, chosen, len(pool) - labelled)
                    )
        val, test = _fit(folder, f"all-{seed}", len(pool), 2.2, labels_N, of)
        record = BaselineRecord(
            seed=seed,
            loss="cross_entropy",
            n_labelled=len(pool),
            hashes={k: v for k, v in shared.items() if k not in ("seed_set", "masks")},
            fit=f"all-{seed}",
            val=val,
            test=test,
        )
        write(folder / "baseline" / f"seed-{seed}.json", record)


def _write_images(folder: Path, labels_N: np.ndarray, split_N: np.ndarray) -> None:
    index = np.arange(len(labels_N))
    frame = pd.DataFrame(
        {
            "index": index,
            "name": [name(i) for i in index.tolist()],
            "label": np.array(CLASSES)[labels_N],
            "split": split_N,
            "patient_id": [f"p{i // 2}" for i in index],
            "source": np.where(index % 3 == 0, "a", "b"),
            "age": index % 90,
            "sex": np.where(index % 5 < 2, "F", "M"),
            "view": np.where(index % 4 == 0, "AP", "PA"),
            "duplicate_group": "",
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "images.csv", index=False)


def name(i: int) -> str:
    """What an image is called."""
    return f"images/{i:07d}.png"


def _query(arm: str, strategy: str, seed: int, number: int, chosen: np.ndarray, left: int) -> QueryRecord:
    scored = strategy != "random"
    return QueryRecord(
        arm=arm,
        seed=seed,
        round=number,
        strategy=strategy,
        pool=left,
        passes=0,
        random_sites=[],
        indices=chosen.tolist(),
        names=[name(i) for i in chosen.tolist()],
        scores=np.linspace(1, 0, len(chosen)).tolist() if scored else None,
        unit="nats" if scored else "",
        uncertainty=0.5 if scored else None,
        predicted=(chosen % 3).tolist() if scored else None,
    )


def _fit(
    folder: Path,
    key: str,
    labelled: int,
    skill: float,
    labels_N: np.ndarray,
    of: dict[str, np.ndarray],
) -> tuple[Metrics, Metrics]:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    arrays: dict[str, np.ndarray] = {}
    measured: dict[str, Metrics] = {}
    for split, index_M in of.items():
        exp_MC = np.exp(rng.normal(size=(len(index_M), 3)) + skill * np.eye(3)[labels_N[index_M]])
        probs_MC = (exp_MC / exp_MC.sum(axis=1, keepdims=True)).astype(np.float32)
        measured[split] = measure(probs_MC, labels_N[index_M], CLASSES)
        arrays |= {f"{split}_index": index_M, f"{split}_probs": probs_MC}
    of_epoch = {"lr": 1e-3, "train_loss": 0.5, "train_accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7}
    record = FitRecord(
        key=key,
        arch="cnn",
        parameters=1000,
        loss="cross_entropy",
        n_labelled=labelled,
        labelled_hash="l",
        initial_weights_hash="i",
        final_weights_hash="f",
        best_epoch=1,
        history=[Epoch(epoch=e, val_macro_f1=0.7, **of_epoch) for e in (1, 2)],
        val=measured["val"],
        test=measured["test"],
    )
    at = folder / "fits" / key
    write(at / "fit.json", record)
    write(at / "fit.timing.json", Timing(train=10.0, evaluate=1.0))
    save_file(arrays, at / "predictions.safetensors")
    return measured["val"], measured["test"]


def _classes(labels_M: np.ndarray) -> dict[str, int]:
    return dict(zip(CLASSES, np.bincount(labels_M, minlength=3).tolist(), strict=True))
