"""Images that a model has seen are remembered through bundles and weights, and said where they are tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.experiment import seen

timm = pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")

SPLITS = ["train"] * 16 + ["val"] * 8 + ["test"] * 8


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """32 images, a first manifest, a second with other splits, and weights to begin with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    r = np.random.default_rng(0)
    for i in range(32):
        Image.fromarray(r.integers(0, 255, (32, 32), np.uint8)).save(tmp_path / f"{i}.png")
    rows = pd.DataFrame({"path": [f"{i}.png" for i in range(32)], "label": ["normal", "tuberculosis"] * 16})
    rows.assign(split=SPLITS).to_csv(tmp_path / "first.csv", index=False)
    rows.assign(split=SPLITS[-6:] + SPLITS[:-6]).to_csv(tmp_path / "second.csv", index=False)
    rows.iloc[24:].to_csv(tmp_path / "new.csv", index=False)
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "begin.safetensors")
    return tmp_path


def train(name: str, data: str, weights: str, tune: str) -> int:
    text = {
        "data": {"sources": [{"kind": "manifest", "path": data}], "image_size": 32},
        "model": {"arch": "backbone", "tune": tune, "options": {"backbone": {"name": "test_resnet"}}},
        "train": {"epochs": 1, "batch_size": 8, "augment": None},
        "seeds": [0],
    }
    text["model"]["options"]["backbone"]["weights"] = weights  # type: ignore[index]
    Path(f"{name}.yaml").write_text(yaml.safe_dump(text))
    return main(["baseline", f"{name}.yaml", "--name", name])


def test_weights_remember_what_they_were_trained_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("first", "first.csv", "begin.safetensors", "all") == 0
    assert "were seen by the weights" not in capsys.readouterr().out
    assert main(["bundle", "runs/baseline-first/backbone/baseline", "models/first"]) == 0
    taken = "models/first/members/1/model.safetensors"
    assert len(seen.of_weights(taken)) == 24 and seen.of_weights("begin.safetensors") == frozenset()
    (fit,) = (here / "runs/baseline-first/backbone/fits").glob("*/model.safetensors")
    assert seen.of_weights(str(fit)) == seen.of_weights(taken)

    # the new test set has the images 0 to 5, which the weights have seen, and 30 and 31; validation has 22 to 29
    capsys.readouterr()
    assert train("second", "second.csv", taken, "frozen") == 0
    said = f"6 of 8 test images were seen by the weights {taken}: what is measured on them is memory"
    assert said in capsys.readouterr().out
    assert said in (here / "results/baseline-second/README.md").read_text()
    assert (
        f"2 of 8 val images were seen by the weights {taken}"
        in (here / "results/baseline-second/README.md").read_text()
    )

    # of 24 to 31, the first test set, the second run has trained on six; through a second bundle nothing is forgotten
    assert main(["bundle", "runs/baseline-second/backbone/baseline", "models/second"]) == 0
    both = seen.of_weights("models/second/members/1/model.safetensors")
    assert both > seen.of_weights(taken) and len(both) == 30
    assert main(["evaluate", "runs/baseline-second/backbone", "--data", "first.csv", "--out", "out"]) == 0
    assert "6 of 8 images trained or chose the models: no external test" in (here / "out/README.md").read_text()


def test_a_bundle_from_before_there_were_notes_has_none(here: Path) -> None:
    assert train("first", "first.csv", "begin.safetensors", "all") == 0
    assert main(["bundle", "runs/baseline-first/backbone/baseline", "old"]) == 0
    sums = here / "old/SHA256SUMS"
    (here / "old" / seen.SEEN).unlink()
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if seen.SEEN not in line))
    assert main(["predict", "old", ".", "--out", "answers.csv"]) == 0
    assert seen.of_weights("old/members/1/model.safetensors") == frozenset()


def test_notes_that_were_edited_are_refused(tmp_path: Path) -> None:
    seen.write_seen(tmp_path, ["b" * 64, "a" * 64, "a" * 64])
    assert (tmp_path / seen.SEEN).read_text() == f"{'a' * 64}\n{'b' * 64}\n"
    assert seen.read_seen(tmp_path) == {"a" * 64, "b" * 64}
    (tmp_path / seen.SEEN).write_text(f"{'a' * 64}\nimage.png\n")
    with pytest.raises(UserError, match="line 2: this is no SHA-256"):
        seen.read_seen(tmp_path)
