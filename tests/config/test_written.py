"""A class named 1, yes or on is a class, in an experiment file and with --set."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_cxr.config import DataSettings
from al_cxr.config.files import load, parse_override
from al_cxr.config.written import text_keys


def target(folder: Path, written: str, *overrides: str) -> str:
    file = folder / "x.yaml"
    file.write_text(f"data: {{sources: [{{kind: phantom}}], target: {written}}}\n")
    return load(file, overrides=[parse_override(text) for text in overrides]).data.target


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *((word, word.lower()) for word in ("yes", "No", "on", "OFF", "true", "False", "y", "n")),
        ("1", "1"),
        ("0.0", "0"),
        ("1.0", "1"),
        ("007", "7"),
        ("1e3", "1e3"),
        ("0x10", "0x10"),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ('"1"', "1"),
        ("'yes'", "yes"),
        ("Tube\u0301rculose", "tub\u00e9rculose"),
        ("No  Finding", "no finding"),
    ],
)
def test_a_target_is_the_text_that_was_written(tmp_path: Path, written: str, name: str) -> None:
    assert target(tmp_path, written) == name == target(tmp_path, "x", f"data.target={written}")


def test_hospitals_folders_and_keys_may_be_numbers_too(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "data: {sources: [{kind: manifest, path: 2024, root: ~}], test_source: 14}\n"
        "losses: {1: {kind: cross_entropy}}\nprofiles: {on: {data: {target: yes}}}\nbaseline: {loss: 1}\n"
        "train: &t {epochs: 3}\n"
    )
    settings = load(file, "on", [parse_override("data.val_source=0"), parse_override("scoring.race=off")])
    assert (
        settings.data.sources[0].model_dump()["path"] == "2024"
        and settings.data.sources[0].model_dump()["root"] is None
    )
    assert (settings.data.test_source, settings.data.val_source, settings.data.target) == ("14", "0", "yes")
    assert list(settings.losses) == ["1"] and settings.baseline.loss == "1" and settings.scoring.race == "off"


def test_numbers_and_switches_stay_what_they_are() -> None:
    assert parse_override("machine.channels_last=no") == {"machine": {"channels_last": False}}
    assert parse_override("seeds=[0, 1]") == {"seeds": [0, 1]}
    assert parse_override("data={target: 1, image_size: 32}") == {"data": {"target": "1", "image_size": 32}}
    assert {"target", "test_source", "path", "loss"} <= text_keys() and not {"image_size", "seed", "kind"} & text_keys()
    assert DataSettings.model_validate({"sources": [{"kind": "phantom"}], "target": " TB"}).target == "tb"
