"""Run folders that look as if they had been trained: valid records with made-up, seeded predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel
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
)
from al_cxr.report.fits import Radiographs

CLASSES = ("normal", "pneumonia", "tuberculosis")
SPLITS = {"train": (300, 200, 100), "val": (30, 20, 10), "test": (60, 40, 20)}
ARMS = {
    "ce+random": ("random", "cross_entropy"),
    "ce+mc_entropy": ("mc_entropy", "cross_entropy"),
    "focal+random": ("random", "focal"),
    "focal+mc_entropy": ("mc_entropy", "focal"),
}
LOSSES = {"cross_entropy": {"kind": "cross_entropy"}, "focal": {"kind": "focal"}}


def labels() -> np.ndarray:
    """Labels of the fake data set by absolute index: train, val, test one after the other."""
    return np.concatenate([np.repeat(np.arange(3), counts) for counts in SPLITS.values()])


def pixels(index: np.ndarray) -> np.ndarray:
    """Images that show their absolute index."""
    y, x = np.mgrid[:32, :32]
    return np.stack([(x * (i % 7) + y * (i % 5)) % 256 for i in index]).astype(np.uint8)


def radiographs() -> Radiographs:
    """What a page needs to show them."""
    return Radiographs(labels(), pixels, lambda index_N: [f"image {i}" for i in index_N])


def write(path: Path, record: BaseModel) -> None:
    """As al_cxr.core.records.write, without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.model_dump_json(indent=1))


def fake_probs(labels_N: np.ndarray, skill: float, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(len(labels_N), 3)) + skill * np.eye(3)[labels_N]
    exp = np.exp(logits)
    return exp / exp.sum(axis=1, keepdims=True)


def _fit(
    root: Path, key: str, loss: str, n_labelled: int, skill: float, seed: int, arch: str
) -> tuple[Metrics, Metrics]:
    start = {"val": 600, "test": 660}
    of = {split: labels()[start[split] :][: sum(SPLITS[split])] for split in start}
    probs = {split: fake_probs(of[split], skill, seed) for split in start}
    val, test = (measure(probs[split], of[split], CLASSES) for split in ("val", "test"))
    falls = [1.1 * 0.8**e for e in range(8)]
    epochs = [
        Epoch(
            epoch=e + 1,
            lr=1e-3,
            train_loss=fall,
            train_accuracy=1 - fall / 2,
            val_loss=fall + 0.02 * e,
            val_accuracy=0.9 - fall / 2,
            val_macro_f1=0.87 - fall / 2 - 0.002 * e,
        )
        for e, fall in enumerate(falls)
    ]
    record = FitRecord(
        key=key,
        arch=arch,
        parameters=123_456,
        loss=loss,
        n_labelled=n_labelled,
        labelled_hash="l",
        initial_weights_hash="i",
        final_weights_hash="f",
        best_epoch=7,
        history=epochs,
        val=val,
        test=test,
    )
    folder = root / "fits" / key
    write(folder / "fit.json", record)
    write(folder / "fit.timing.json", Timing(train=12.5 + seed % 7, evaluate=0.5))
    arrays = {"val_index": np.arange(600, 660), "val_probs": probs["val"].astype(np.float32)}
    arrays |= {"test_index": np.arange(660, 780), "test_probs": probs["test"].astype(np.float32)}
    save_file(arrays, folder / "predictions.safetensors")
    return val, test


def shared_hashes(seed: int) -> dict[str, str]:
    """Of what the arms of a seed share with its baseline."""
    return {"initial_weights": f"w{seed}", "loader": f"l{seed}", "test_set": "t", "data": "d"}


def fake_run(
    root: Path,
    arms: dict[str, tuple[str, str]] | None = None,
    seeds: tuple[int, ...] = (0, 1, 2),
    rounds: int = 3,
    synthetic: bool = True,
    baseline: bool = True,
    arch: str = "cnn",
    notes: tuple[str, ...] = ("12 files could not be read",),
) -> Path:
    """A finished experiment in `root`; `arms={}` makes what `al-cxr baseline` leaves."""
    arms = ARMS if arms is None else arms
    settings = Settings.model_validate(
        {
            "data": {"sources": [{"kind": "phantom"}]},
            "model": {"arch": arch},
            "losses": LOSSES,
            "budget": {"seed": 180, "query": 40, "query_of": "number", "rounds": rounds},
            "arms": {name: {"strategy": s, "loss": loss} for name, (s, loss) in arms.items()},
            "seeds": list(seeds),
        }
    )
    card = DataCard(
        name="phantom",
        synthetic=synthetic,
        classes=list(CLASSES),
        counts={split: dict(zip(CLASSES, counts, strict=True)) for split, counts in SPLITS.items()},
        fingerprint="0123abcd",
        image_size=32,
        attribution="made for tests",
        notes=list(notes),
    )
    write(
        root / "experiment.json",
        ExperimentRecord(
            name="fake",
            settings=settings.model_dump(mode="json"),
            data=card,
            command="al-cxr run experiments/fake.yaml",
            commit="abc1234",
            versions={"al-cxr": "0.1.0", "python": "3.11"},
        ),
    )
    for a, (arm, (strategy, loss)) in enumerate(arms.items()):
        for seed in seeds:
            before = {c: 0 for c in CLASSES}
            for r in range(rounds + 1):
                share = (90, 60, 30) if r == 0 else (20, 13, 7) if strategy == "random" else (12, 10, 18)
                acquired = dict(zip(CLASSES, share, strict=True))
                before = {c: before[c] + acquired[c] for c in CLASSES}
                n = sum(before.values())
                key = f"{loss}-{seed}-0" if r == 0 else f"{arm}-{seed}-{r}"
                skill = 1.4 + 0.15 * r + 0.1 * r * (strategy != "random") + 0.1 * (loss == "focal")
                val, test = _fit(root, key, loss, n, skill, 100 * seed + (10 * a + r if r else 0), arch)
                folder = root / "arms" / arm / f"seed-{seed}"
                record = RoundRecord(
                    arm=arm,
                    strategy=strategy,
                    loss=loss,
                    seed=seed,
                    round=r,
                    n_labelled=n,
                    labelled_classes=before,
                    acquired=acquired,
                    hashes=shared_hashes(seed) | {"seed_set": f"s{seed}", "masks": f"m{seed}"},
                    fit=key,
                    val=val,
                    test=test,
                )
                write(folder / f"round-{r}.json", record)
                if r < rounds:
                    query = QueryRecord(
                        arm=arm,
                        seed=seed,
                        round=r,
                        strategy=strategy,
                        pool=600 - n,
                        passes=0 if strategy == "random" else 20,
                        random_sites=[],
                        indices=[1, 2],
                        names=["a", "b"],
                        scores=None,
                        unit="nats",
                    )
                    write(folder / f"query-{r}.json", query)
                    write(folder / f"query-{r}.timing.json", Timing(score=0.0 if strategy == "random" else 3.25))
    for seed in seeds if baseline else ():
        val, test = _fit(root, f"all-{seed}", "cross_entropy", 600, 2.1, 7 + seed, arch)
        record = BaselineRecord(
            seed=seed,
            loss="cross_entropy",
            n_labelled=600,
            hashes=shared_hashes(seed),
            fit=f"all-{seed}",
            val=val,
            test=test,
        )
        write(root / "baseline" / f"seed-{seed}.json", record)
    return root


def fake_images(root: Path) -> pd.DataFrame:
    """images.csv of a fake run: two images a patient, tuberculosis from its own source, images 0 and 1 are copies."""
    label_N = np.array(CLASSES)[labels()]
    index = np.arange(len(label_N))
    frame = pd.DataFrame(
        {
            "index": index,
            "name": [f"{i}.png" for i in index],
            "label": label_N,
            "split": np.repeat(list(SPLITS), [sum(counts) for counts in SPLITS.values()]),
            "patient_id": [f"p{i // 2}" for i in index],
            "source": np.where((label_N == "tuberculosis") | (index % 4 == 0), "b", "a"),
            "duplicate_group": ["0", "0", *[""] * (len(index) - 2)],
        }
    )
    frame.to_csv(root / "images.csv", index=False)
    return frame


def edit(path: Path, **changes: object) -> None:
    """A record with some of its keys changed, as a stranger would have."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
