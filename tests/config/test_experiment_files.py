"""Experiment files: what is valid, and what a person reads when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_cxr.config import Settings
from al_cxr.config.files import differences, load, merge, parse_override
from al_cxr.config.layers import read_layer
from al_cxr.core.errors import UserError

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))
MINIMAL = "data: {sources: [{kind: phantom}]}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_shipped_experiments_are_valid_with_every_profile(path: Path) -> None:
    settings = load(path)
    assert any(arm.strategy == "random" for arm in settings.arms.values())
    for profile in read_layer(EXPERIMENTS[0].parent / "tb_entropy.yaml").data["profiles"]:
        assert load(path, profile) != settings


def test_the_main_experiment_writes_out_every_default_with_a_comment() -> None:
    path = EXPERIMENTS[0].parent / "tb_entropy.yaml"
    raw, lines = read_layer(path).data, path.read_text().splitlines()
    full = Settings.model_validate({k: v for k, v in raw.items() if k != "profiles"}).model_dump(mode="json")
    for section in ("data", "model", "train", "budget", "scoring", "baseline", "machine"):
        assert set(raw[section]) == set(full[section]), f"{section} leaves a default out"
        for key in raw[section]:
            line = next(text for text in lines if text.startswith(f"  {key}:"))
            assert "#" in line, f"{section}.{key} has no comment"
    assert set(raw["machine"]["ray"]) == set(full["machine"]["ray"])
    for loss in raw["losses"].values():
        assert set(loss) == set(full["losses"]["focal"])
    assert set(raw["train"]["augment"]) == set(full["train"]["augment"])


def test_the_paper_profile_is_the_reports_protocol() -> None:
    paper = load(EXPERIMENTS[0].parent / "tb_entropy.yaml", "paper")
    assert (paper.data.image_size, paper.train.epochs, paper.train.batch_size) == (224, 50, 64)
    assert paper.model.in_channels == 3 and paper.train.lr == 1e-3
    assert paper.model.arguments() == {"width": 1.0, "dropout": 1.0, "head_dropout": 0.5}
    assert (paper.budget.seed, paper.budget.query, paper.budget.rounds) == (0.30, 0.10, 5)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_shipped_experiments_have_the_arms_that_others_are_judged_by(path: Path) -> None:
    quick = ("tb_entropy", "two_by_two")  # end in minutes
    plain = set() if path.stem in quick else {"entropy", "margin"}
    assert {arm.strategy for arm in load(path).arms.values()} >= {"random", *plain}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {epochs: 3", "not valid YAML"),
        ("- a\n- b\n", "and this is a list"),
        ("", "it is empty"),
        (MINIMAL + "train: {epoch: 3}\n", "train.epoch: unknown key; did you mean 'epochs'?"),
        (MINIMAL + "trian: {epochs: 3}\n", "trian: unknown key; did you mean 'train'?"),
        ("data: {sources: [{kind: phantom, cont: 5}]}\n", "data.sources.0.cont: unknown key; did you mean 'count'?"),
        ("data: {sources: [{kind: phantoms}]}\n", "data.sources.0"),
        ("data: {sources: []}\n", "data.sources"),
        ("train: {epochs: 3}\n", "data: missing"),
        (MINIMAL + "train: {epochs: many}\n", "train.epochs"),
        (MINIMAL + "train: {lr: .nan}\n", "train.lr"),
        (
            MINIMAL + "train: {epochs: 3}\ntrain: {epochs: 4}\n",
            "line 3: the key 'train' is given twice, first in line 2",
        ),
        (MINIMAL + "arms: {a: {strategy: random, loss: focl}}\n", "arms.a.loss: no loss 'focl'"),
        (MINIMAL + "arms: {../a: {strategy: random, loss: cross_entropy}}\n", "arms"),
        (MINIMAL + "seeds: [1, 1]\n", "seeds"),
        (MINIMAL + "budget: {query: 5}\n", "query_of: number"),
        (MINIMAL + "regimes: {low: {query: 5}}\n", "regimes.low: query 5 is not a fraction"),
        (MINIMAL + "regimes: {low: {seed: -1}}\n", "regimes.low.seed"),
        (MINIMAL + "regimes: {low: {sed: 0.1}}\n", "regimes.low.sed: unknown key; did you mean 'seed'?"),
        (MINIMAL + "regimes: {all: {seed: 0.1}}\n", "regimes.all: this name is taken"),
        (MINIMAL + "machine: {engine: rya}\n", "machine.engine"),
        (MINIMAL + "machine: {engine: rya, processes: 2}\n", "machine.engine"),
        (MINIMAL + "machine: {processes: 2}\n", "machine.processes: machine.engine is local, which ignores it; set"),
        (MINIMAL + "machine: {engine: ray, processes: 2}\n", "machine.processes: machine.engine is ray"),
        (MINIMAL + "train: {augment: {crop_scale: [1.0, 0.5]}}\n", "crop_scale"),
        (MINIMAL + "x: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        load(path)
    assert str(path) in str(error.value) and words in str(error.value)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)
    with pytest.raises(UserError, match="did you mean"):
        load(tmp_path / "x.yml")


def test_unknown_profile(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "profiles: {paper: {train: {epochs: 50}}}\n")
    assert load(path, "paper").train.epochs == 50
    with pytest.raises(UserError, match=r"--profile papr: .*x\.yaml has no profile 'papr'; did you mean 'paper'"):
        load(path, "papr")


def test_of_several_profiles_each_lies_on_those_before(tmp_path: Path) -> None:
    profiles = "profiles: {big: {train: {epochs: 50, lr: 1e-4}}, quick: {train: {epochs: 2}, seeds: [7]}}\n"
    path = write(tmp_path, MINIMAL + profiles)
    assert (load(path, "big,quick").train.epochs, load(path, "quick,big").train.epochs) == (2, 50)
    both = load(path, "quick,big")
    assert (both.train.lr, both.seeds) == (1e-4, [7])
    for wrong in ("big,papr", "big,", ",big", "big, quick"):
        with pytest.raises(UserError, match=r"no profile '.*'; (known: big, quick|did you mean 'quick'\?)"):
            load(path, wrong)


def test_overrides_win_over_profile_and_file(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "train: {epochs: 3}\nprofiles: {p: {train: {epochs: 5, lr: 1e-4}}}\n")
    settings = load(path, "p", [parse_override("train.epochs=7")])
    assert (settings.train.epochs, settings.train.lr) == (7, 1e-4)


def test_another_engine_leaves_the_number_of_processes_behind(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        MINIMAL + "machine: {engine: processes, processes: 2}\nprofiles: {p: {machine: {engine: local, threads: 3}}}\n",
    )

    def machine(*texts: str, profile: str | None = None, file: Path = path) -> tuple[str, int]:
        found = load(file, profile, [parse_override(text) for text in texts]).machine
        return found.engine, found.processes

    assert machine() == ("processes", 2)
    assert machine("machine.engine=ray") == ("ray", 1)
    assert machine(profile="p") == ("local", 1)
    assert machine("machine.processes=5") == ("processes", 5)
    assert machine("machine.engine=processes") == ("processes", 2)
    # all of --set is one layer: the order does not matter
    assert machine("machine.processes=4", "machine.engine=processes", profile="p") == ("processes", 4)
    for texts in (["machine.engine=ray", "machine.processes=2"], ["machine.processes=2", "machine.engine=ray"]):
        with pytest.raises(UserError, match=r"machine\.processes: machine\.engine is ray.*got 2"):
            machine(*texts)
    with pytest.raises(UserError, match=r"machine\.engine is local"):
        machine("machine.processes=2", profile="p")
    child = tmp_path / "child.yaml"
    child.write_text("extends: x.yaml\nmachine: {engine: local}\n")
    assert machine(file=child) == ("local", 1)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
@pytest.mark.parametrize("engine", ["local", "processes", "ray"])
def test_every_shipped_experiment_runs_on_every_engine(path: Path, engine: str) -> None:
    assert load(path, overrides=[parse_override(f"machine.engine={engine}")]).machine.engine == engine


@pytest.mark.parametrize("text", ["train.epochs", "=3", "train..epochs=3", "train.epochs=[1"])
def test_a_malformed_override_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_override(text)


def test_merge_and_differences() -> None:
    a, b = {"x": {"y": 1, "z": [1, 2]}}, {"x": {"z": [3]}, "w": 0}
    assert merge(a, b) == {"x": {"y": 1, "z": [3]}, "w": 0}
    assert differences(a, merge(a, b)) == ["w: None -> 0", "x.z: [1, 2] -> [3]"]


def test_machine_settings_are_no_science(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    assert load(path).science() == load(path, overrides=[parse_override("machine.threads=1")]).science()
    assert load(path).science() != load(path, overrides=[parse_override("train.lr=0.5")]).science()
