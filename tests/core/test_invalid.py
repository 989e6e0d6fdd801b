"""What is said of a wrong value or name: words that somebody can act on, and none of the library's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from al_cxr import models, strategies
from al_cxr.config.files import load, parse_override
from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint, nearest
from al_cxr.core.records import RoundRecord, read
from al_cxr.data.sources.named import named_source
from al_cxr.strategies import stopping

MINIMAL = "data: {sources: [{kind: phantom}]}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {epochs: many}", "train.epochs: must be a whole number (got 'many')"),
        ("train: {epochs: 1.5}", "train.epochs: must be a whole number (got 1.5)"),
        ("train: {epochs: 0}", "train.epochs: must be 1 or more (got 0)"),
        ("train: {lr: .inf}", "train.lr: must be a finite number (got inf)"),
        ("train: {lr: 0}", "train.lr: must be above 0 (got 0)"),
        ("train: {layer_decay: 2}", "train.layer_decay: must be 1 or less (got 2)"),
        ("data: {val_fraction: 0.5}", "data.val_fraction: must be below 0.5 (got 0.5)"),
        ("train: {optimizer: AdamX}", "must be one of adam, adamw (got 'AdamX'); did you mean 'adam'?"),
        ("train: {optimizer: sgd}", "train.optimizer: must be one of adam, adamw (got 'sgd')"),
        ("train: {augment: {crop_scale: 3}}", "train.augment.crop_scale: must be a list, such as [0, 1] (got 3)"),
        ("train: null", "train: must have keys with values below it (got null)"),
        ("model: {arch: 3}", "model.arch: must be text; put it in quotes (got 3)"),
        ("model: {tune_depthwise: perhaps}", "model.tune_depthwise: must be true or false (got 'perhaps')"),
        ("seeds: []", "seeds: must have 1 or more entries"),
        ("seeds: [0, -1]", "seeds.1: must be 0 or more (got -1)"),
        ("arms: {A b: {strategy: random, loss: cross_entropy}}", "arms.A b: must be small letters, digits and"),
        ("arms: {a: {strategy: random}}", "arms.a.loss: missing; add this key"),
        ("losses: {f: {kind: focal, alpha: x}}", "must be one of none, balanced, or must be a list, such as [0, 1]"),
        ("data: {sources: [{kind: foldr, path: x}]}", "must be one of dicom, folder, kaggle, manifest, medmnist, "),
        ("data: {sources: [{count: 50}]}", "data.sources.0: kind: missing; add this key"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_said_in_plain_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(MINIMAL)
    with pytest.raises(UserError) as error:
        load(path, overrides=[yaml.safe_load(text)])
    assert said in str(error.value)
    assert not any(word in str(error.value).lower() for word in ("input should", "pydantic", "instance", "dictionary"))


def test_the_nearest_name_is_found_whatever_its_case_and_hyphens() -> None:
    known = ["mc_entropy", "entropy", "margin"]
    assert [nearest(word, known) for word in ("MC-Entropy", "entropie", "Margin ", "xyz", "")] == [
        "mc_entropy", "entropy", "margin", None, None,
    ]  # fmt: skip
    assert hint("entropie", known) == "; did you mean 'entropy'?"
    assert hint("xyz", known) == "; known: mc_entropy, entropy, margin"
    assert hint("xyz", []) == "; known: none"
    assert hint("xyz", [f"q{i}" for i in range(100)]).endswith("q39 and 60 more")


def test_every_registry_offers_the_nearest_name(tmp_path: Path) -> None:
    mistakes = [
        (lambda: strategies.get("mc-entropi"), "no strategy 'mc-entropi'; did you mean 'mc_entropy'?"),
        (lambda: strategies.get("qqq"), "and functions of modAL such as modAL.uncertainty.margin_sampling"),
        (lambda: strategies.get("modAL.uncertainty.marginsampling"), "did you mean 'margin_sampling'?"),
        (lambda: strategies.get("modAL.uncertanty.margin_sampling"), "did you mean 'modAL.uncertainty'?"),
        (lambda: models.defaults("restnet18"), "no architecture 'restnet18'; did you mean 'resnet18'?"),
        (lambda: models.build("cnn", 1, 2, 28, {"widht": 1.0}), "model.options.cnn.widht: cnn has no such option; did"),
        (lambda: models.build("cnn", 1, 2, 28, {"width": "wide"}), "model.options.cnn.width: must be a number (got"),
        (lambda: models.build("cnn", 1, 2, 28, {"width": 9.0}), "model.options.cnn.width: must be 4 or less (got 9.0)"),
        (lambda: stopping.check("nogain", {}), "stop.rule: no rule 'nogain'; did you mean 'no_gain'?"),
        (lambda: stopping.check("no_gain", {"round": 3}), "has no such option; did you mean 'rounds'?"),
        (lambda: stopping.check("no_gain", {"rounds": 0}), "stop.options.rounds: must be 1 or more (got 0)"),
    ]
    for make, said in mistakes:
        with pytest.raises(UserError) as error:
            make()
        assert said in str(error.value)


def test_an_override_is_answered_with_the_option_and_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(MINIMAL)
    with pytest.raises(UserError) as error:
        load(path, overrides=[parse_override("train.batchsize=3"), parse_override("sed=1")])
    assert str(error.value).splitlines() == [
        "--set train.batchsize: unknown key; did you mean 'batch_size'?",
        "--set sed: unknown key; did you mean 'seeds'?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "(this is not JSON, or only a part of it)"),
        ('{"arm": "a", ', "(this is not JSON, or only a part of it)"),
        ("{}", "(arm: missing)"),
        ("[]", "(must have keys with values below it)"),
    ],
)
def test_a_record_that_cannot_be_used_is_said_without_names_of_code(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "round-1.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read(path, RoundRecord)
    assert str(error.value).startswith(f"{path}: cannot be used {said}: it was edited, damaged, or written by another")
    assert "RoundRecord" not in str(error.value)


def test_a_data_option_is_answered_in_plain_words() -> None:
    for text, said in [("phantom:5", "count: must be 30 or more"), ("phantom:x", "count: must be a whole number")]:
        with pytest.raises(UserError, match=f"data source '{text}': .*{said}"):
            named_source(text)
