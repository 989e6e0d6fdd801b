"""Options of an arm's strategy: what they change, where they are written down, and what is said of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import TINY, write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.comparison.compare import per_seed, two_by_two
from al_cxr.comparison.finished import load
from al_cxr.config import Arm, Settings
from al_cxr.config.files import load as load_settings
from al_cxr.config.files import parse_override

pytestmark = pytest.mark.usefixtures("undrawn_module")

ARMS = """\
arms:
  random: {strategy: random, loss: cross_entropy}
  plain: {strategy: power_entropy, loss: cross_entropy}
  sharp: {strategy: power_entropy, loss: cross_entropy, beta: 50}
  focal-random: {strategy: random, loss: focal}
  focal-sharp: {strategy: power_entropy, loss: focal, beta: 50}
"""
WITH_OPTIONS = (
    TINY[: TINY.index("arms:")] + ARMS + TINY[TINY.index("seeds:") :].replace("seeds: [0, 1]", "seeds: [0]")
).replace("rounds: 2", "rounds: 1")


def play(folder: Path, *more: str) -> int:
    where = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    return main(["run", str(folder / "tiny.yaml"), *where, *more])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    write_tiny(folder, WITH_OPTIONS)
    assert play(folder) == 0
    return folder


def record(folder: Path, arm: str, name: str) -> dict[str, Any]:
    return json.loads((folder / "runs" / "tiny" / "arms" / arm / "seed-0" / name).read_text())


def test_an_option_changes_what_is_asked_for(played: Path) -> None:
    plain, sharp = record(played, "plain", "query-0.json"), record(played, "sharp", "query-0.json")
    assert plain["indices"] != sharp["indices"]
    assert plain["strategy"] == "power_entropy" and sharp["strategy"] == "power_entropy(beta=50)"


def test_options_stand_in_the_settings_only_where_they_were_given(played: Path) -> None:
    arms = json.loads((played / "runs" / "tiny" / "experiment.json").read_text())["settings"]["arms"]
    assert arms["plain"] == {"strategy": "power_entropy", "loss": "cross_entropy"}
    assert arms["sharp"] == {"strategy": "power_entropy", "loss": "cross_entropy", "beta": 50}
    assert Settings.model_validate(load(played / "runs" / "tiny").experiment.settings).arms["sharp"].options == {
        "beta": 50
    }


def test_the_page_tells_two_arms_of_one_strategy_apart(played: Path) -> None:
    page = (played / "results" / "tiny" / "README.md").read_text()
    said = "- Options of the arms: sharp power_entropy(beta=50), focal-sharp power_entropy(beta=50)"
    assert said in page.replace("\\", "").splitlines()
    assert "sharp: power_entropy(beta=50), trained with cross_entropy" in page.replace("\\", "")


def test_an_arm_with_options_is_compared_with_random_and_across_losses(played: Path) -> None:
    run = load(played / "runs" / "tiny")
    assert run.random_counterpart("sharp") == "random" and run.random_counterpart("focal-sharp") == "focal-random"
    assert set(per_seed(run, run.target)["strategy"]) == {"random", "power_entropy", "power_entropy(beta=50)"}
    (frame,) = two_by_two(run, run.target)
    assert set(frame["strategy"]) == {"power_entropy(beta=50)"}, "the plain one has no counterpart with focal"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("arms.sharp.beta=0", "arms.sharp.beta: must be above 0 (got 0)"),
        ("arms.sharp.betta=2", "arms.sharp.betta: power_entropy has no such option; did you mean 'beta'?"),
        ("arms.random.beta=2", "arms.random.beta: random has no such option; it has none"),
        ("arms.sharp.strategy=power_entrpy", "arms.sharp.strategy: no strategy 'power_entrpy'; did you mean"),
        ("losses.focal.gama=2", "losses.focal.gama: focal has no such option; did you mean 'gamma'?"),
        ("losses.focal.kind=focl", "losses.focal.kind: no loss 'focl'; did you mean 'focal'?"),
        ("stop={rule: no_gain, options: {round: 2}}", "stop.options.round: no_gain has no such option; did you mean"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    path = write_tiny(tmp_path, WITH_OPTIONS)
    assert play(tmp_path, "--set", override) == 2
    assert f"{path}: {said}" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_another_value_is_another_experiment(played: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(played, "--set", "arms.sharp.beta=2") == 2
    assert "arms.sharp.beta: 50 -> 2" in capsys.readouterr().err


def test_null_takes_an_inherited_option_away(tmp_path: Path) -> None:
    path = write_tiny(tmp_path, WITH_OPTIONS)
    arms = load_settings(path, overrides=[parse_override("arms.sharp.beta=null")]).arms
    assert arms["sharp"].options == {} and arms["focal-sharp"].options == {"beta": 50}


def test_options_are_named_in_one_order() -> None:
    one = Arm.model_validate({"strategy": "s", "loss": "l", "b": 1, "a": 2})
    other = Arm.model_validate({"strategy": "s", "a": 2, "b": 1, "loss": "l"})
    assert one.acquisition == other.acquisition == "s(a=2, b=1)"
    assert Arm(strategy="s", loss="l").acquisition == "s"
