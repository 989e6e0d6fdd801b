"""`al-cxr baseline`: one table of all models, what others published beside it, and models that lack something here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from fake_run import CLASSES
from tiny import TINY, science_files, write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.config import Settings
from al_cxr.core.errors import Unavailable
from al_cxr.experiment.estimate import Speeds
from al_cxr.models import resnet

BASELINE = """\
baseline:
  models:
    mlp-wide: {arch: mlp, options: {hidden: 9}}
    resnet18-far: {arch: resnet18, options: {weights: imagenet}}
  published:
    report: {reference: Somebody, models: {mlp: {accuracy: 0.8, classes: {normal: {recall: 0.9}}}}}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    # Seconds that are not what these tests are about: the figures of each model, and measuring how long it will take.
    monkeypatch.setattr("al_cxr.report.baseline.add_fit", lambda *_, **__: None)
    monkeypatch.setattr("al_cxr.experiment.sweep.measure_speeds", lambda workspace: Speeds())
    write_tiny(tmp_path, TINY.replace("epochs: 2", "epochs: 1") + BASELINE)
    return tmp_path


def test_the_command_writes_one_table_and_goes_on(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "--arch", "mlp,mlp-wide,resnet18-far", "tiny.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.count("data      phantom") == 1 and "without   resnet18-far" in said
    page = (tiny / "results" / "baseline-tiny" / "README.md").read_text()
    header = next(line for line in page.splitlines() if line.startswith("| model"))
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    classes = [f"{c} {field}, %" for c in CLASSES for field in ("precision", "recall", "F1")]
    assert [c for c in columns if "(report)" not in c] == [
        "model", "accuracy, %", "ROC-AUC", "macro F1, %", *classes, "parameters", "training, s", "seeds",
    ]  # fmt: skip
    assert {c for c in columns if "(report)" in c} == {"accuracy, % (report)", "normal recall, % (report)"}
    frame = pd.read_csv(tiny / "results/baseline-tiny/tables/models.csv").set_index("model")
    assert list(frame.index)[:3] == ["mlp", "mlp-wide", "resnet18-far"]
    assert frame.loc["mlp-wide", "parameters"] == 28 * 28 * 9 + 9 + 9 * 3 + 3
    assert frame.loc["mlp", "accuracy (report)"] == 0.8 and frame.loc["mlp", "seeds"] == 2
    # the key that a reader has to set, and no other
    assert "baseline.models.resnet18-far.options.weights to its path" in frame.loc["resnet18-far", "unavailable"]
    assert "model.options" not in frame.loc["resnet18-far", "unavailable"]

    # a model that is added trains nothing again, and the table keeps what was there
    runs = tiny / "runs" / "baseline-tiny"
    before = science_files(runs / "mlp")
    stamps = {p: p.stat().st_mtime_ns for p in runs.rglob("fit.json")}
    assert main(["baseline", "tiny.yaml", "--arch", "cnn2"]) == 0
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps and science_files(runs / "mlp") == before
    table = (tiny / "results/baseline-tiny/tables/models.md").read_text()
    assert [line.split("|")[1].strip() for line in table.splitlines() if re.match(r"\| (cnn2|mlp|resnet)", line)] == [
        "cnn2", "mlp", "mlp-wide", "resnet18-far",
    ]  # fmt: skip

    # from the records alone, of the folder or of one model in it
    for asked in ("runs/baseline-tiny", "runs/baseline-tiny/mlp"):
        (tiny / "results/baseline-tiny/tables/models.md").unlink()
        assert main(["report", asked]) == 0
        assert (tiny / "results/baseline-tiny/tables/models.md").read_text() == table


def test_a_single_model_that_lacks_something_stops(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "--arch", "resnet18-far", "tiny.yaml"]) == 2
    error = capsys.readouterr().err
    assert "resnet18-f37072fd.pth" in error and "baseline.models.resnet18-far.options.weights" in error
    assert main(["baseline", "--arch", "resnet18-far,backbone", "tiny.yaml"]) == 2
    error = capsys.readouterr().err
    assert "none of these models" in error and "resnet18-f37072fd.pth" in error and "name a model of timm" in error
    assert not (tiny / "runs").exists() and not (tiny / "results").exists()


@pytest.mark.parametrize(
    ("arch", "settings", "words"),
    [
        (
            "mlp-wyde",
            "{}",
            "--arch mlp-wyde: no architecture or variant under baseline.models has this name; did you mean 'mlp-wide'?",
        ),
        ("mlp", "{models: {mlp: {arch: cnn}}}", "baseline.models.mlp: an architecture has this name; choose another"),
        ("mlp", "{models: {a: {arch: resnet81}}}", "baseline.models.a.arch: no architecture 'resnet81'; did you mean"),
        ("mlp,mlp-wide", "{models: {mlp-wide: {options: {hiden: 3}}}}", "baseline.models.mlp-wide.options.hiden: "),
        ("mlp", "{published: {p: {reference: x, models: {mpl: {}}}}}", "published.p.models.mpl: no architecture"),
        ("mlp", "{published: {p: {reference: x, models: {mlp: {accuracy: 83.0}}}}}", "models.mlp.accuracy"),
        ("mlp", "{published: {p: {models: {mlp: {}}}}}", "baseline.published.p.reference: missing"),
        ("mlp", "{models: {a: {options: {}}}}", "baseline.models.a.arch: missing"),
    ],
)
def test_a_mistake_stops_before_anything_is_trained(
    tiny: Path, capsys: pytest.CaptureFixture[str], arch: str, settings: str, words: str
) -> None:
    assert main(["baseline", "--arch", arch, "tiny.yaml", "--set", f"baseline={settings}"]) == 2
    assert words in capsys.readouterr().err
    assert not (tiny / "runs").exists() and not (tiny / "results").exists()


def test_all_is_every_architecture_and_every_variant(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from al_cxr import models
    from al_cxr.api import baseline

    asked: list[str] = []

    def lacks(settings: Settings, name: str, dataset: object) -> None:
        asked.append(name)
        raise Unavailable(f"no {name} here")

    monkeypatch.setattr(baseline, "_build", lacks)
    assert main(["baseline", "--arch", "all", "tiny.yaml"]) == 2
    # a backbone is no network before it has a name
    assert asked == sorted([*({*models.names()} - {"backbone"}), "mlp-wide", "resnet18-far"])
    asked.clear()
    assert main(["baseline", "--arch", "all", "tiny.yaml", "--set", "model.options.backbone.name=test_resnet"]) == 2
    assert "backbone" in asked


def test_weights_from_a_stand_in_for_the_network_train_like_any_other(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: nothing there, downloaded once, checked by the hash in its name, trained, in the table."""
    import hashlib
    from types import SimpleNamespace

    import torchvision

    torch.manual_seed(0)
    source = tiny / "net.pth"
    torch.save(torchvision.models.resnet18().state_dict(), source)
    name = f"resnet18-{hashlib.sha256(source.read_bytes()).hexdigest()[:8]}.pth"
    fetched: list[str] = []

    def download(url: str, target: str, hash_prefix: str) -> None:
        fetched.append(url)
        Path(target).write_bytes(source.read_bytes())

    entry = SimpleNamespace(url=f"https://example.org/{name}")
    monkeypatch.setattr(resnet.torchvision.models, "ResNet18_Weights", SimpleNamespace(IMAGENET1K_V1=entry))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert main(["baseline", "--arch", "resnet18-far", "tiny.yaml", "--set", "seeds=[0]", "--data", "phantom:30"]) == 0
    assert fetched == [entry.url] and (tiny / "hub" / "checkpoints" / name).is_file()
    frame = pd.read_csv(tiny / "results/baseline-tiny-phantom/tables/models.csv").set_index("model")
    assert frame.loc["resnet18-far", "arch"] == "resnet18" and frame.loc["resnet18-far", "accuracy"] > 0
