"""Experiment files that extend each other, and mistakes in any of them said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_cxr.config.files import load, parse_override
from al_cxr.core.errors import UserError

BASE = """\
data: {sources: [{kind: phantom}]}
train: {epochs: 3, lr: 0.5}
arms:
  a: {strategy: random, loss: cross_entropy}
  b: {strategy: entropy, loss: cross_entropy}
  c: {strategy: margin, loss: cross_entropy}
profiles:
  quick: {train: {epochs: 1}}
  slow: {train: {epochs: 90}}
"""
MIDDLE = """\
extends: base.yaml
train: {epochs: 4}
arms: {b: null}
profiles:
  quick: {train: {lr: 0.25}}
  wide: {data: {image_size: 128}}
"""
TOP = """\
extends: middle.yaml
train: {batch_size: 8}
arms: {c: null, d: {strategy: bald, loss: cross_entropy}}
profiles: {slow: null}
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name, text in (("base", BASE), ("middle", MIDDLE), ("top", TOP)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path / "top.yaml"


def test_a_file_lies_on_the_one_it_extends_and_on_what_that_one_extends(top: Path) -> None:
    train = load(top).train
    assert (train.epochs, train.lr, train.batch_size) == (4, 0.5, 8)


def test_null_takes_an_inherited_arm_away_from_anywhere_below(top: Path) -> None:
    assert list(load(top).arms) == ["a", "d"]
    assert list(load(top.with_name("middle.yaml")).arms) == ["a", "c"]
    back = top.with_name("back.yaml")
    back.write_text("extends: top.yaml\narms: {b: {strategy: random, loss: cross_entropy}}\n")
    assert sorted(load(back).arms) == ["a", "b", "d"], "an arm that was taken away can be given anew"


def test_profiles_are_inherited_laid_on_each_other_and_taken_away_by_null(top: Path) -> None:
    quick = load(top, "quick").train
    assert (quick.epochs, quick.lr, quick.batch_size) == (1, 0.25, 8)
    assert load(top, "wide").data.image_size == 128
    assert load(top.with_name("middle.yaml"), "slow").train.epochs == 90
    with pytest.raises(UserError, match=r"top\.yaml has no profile 'slow'; known: quick, wide$"):
        load(top, "slow")


def test_a_link_to_a_file_elsewhere_extends_what_lies_beside_the_link(top: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "middle.yaml").write_text("data: {sources: [{kind: phantom}]}\n")
    (folder / "top.yaml").symlink_to(top)
    assert list(load(folder / "top.yaml").arms) == ["d"]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("a.yaml", "", r"a\.yaml, line 1: extends: a\.yaml -> a\.yaml goes round in a circle"),
        ("b.yaml", "a.yaml", r"b\.yaml, line 1: extends: a\.yaml -> b\.yaml -> a\.yaml goes round"),
        ("b.yaml", "b.yaml", r"b\.yaml, line 1: extends: b\.yaml -> b\.yaml goes round"),
        ("b.yaml", "c.yml", r"b\.yaml, line 1: extends: there is no .*c\.yml; did you mean 'c\.yaml'"),
        ("b.yaml", "../c.yaml", "extends: '../c.yaml' is not a file name; name a file in the same folder"),
        ("/etc/passwd", "", "extends: '/etc/passwd' is not a file name"),
        ("..", "", "extends: '..' is not a file name"),
        ("[b.yaml]", "", r"extends: \['b.yaml'\] is not a file name"),
    ],
)
def test_a_chain_that_leads_nowhere_is_an_error_of_the_file_that_breaks_it(
    tmp_path: Path, first: str, second: str, said: str
) -> None:
    (tmp_path / "a.yaml").write_text(f"extends: {first}\n")
    (tmp_path / "b.yaml").write_text(f"extends: {second}\n")
    (tmp_path / "c.yaml").write_text("seeds: [0]\n")
    with pytest.raises(UserError, match=said):
        load(tmp_path / "a.yaml")


def test_a_mistake_is_said_with_the_file_and_line_that_it_was_made_in(top: Path) -> None:
    middle = top.with_name("middle.yaml")
    middle.write_text(MIDDLE.replace("epochs: 4", "epoch: 4").replace("lr: 0.25", "lr: fast"))
    with pytest.raises(UserError) as plain:
        load(top)
    assert str(plain.value) == f"{middle}, line 2: train.epoch: unknown key; did you mean 'epochs'?"
    with pytest.raises(UserError) as profiled:
        load(top, "quick")
    assert f"{middle}, line 5: train.lr: must be a number (got 'fast')" in str(profiled.value).splitlines()
    # what lies above hides it
    with pytest.raises(UserError) as hidden:
        load(top, "quick", [parse_override("train.lr=0")])
    assert "--set train.lr: must be above 0 (got 0)" in str(hidden.value).splitlines()


def test_a_check_of_several_keys_points_to_the_layer_that_spoke_last(top: Path) -> None:
    top.write_text(TOP + "seeds: [1,\n  1]\n")
    with pytest.raises(UserError, match=r"top\.yaml, line 5: seeds: 1 is given twice; delete one of them"):
        load(top)
    top.write_text(TOP + "losses: {cross_entropy: {kind: cross_entropy}}\nbaseline: {loss: cros_entropy}\n")
    with pytest.raises(
        UserError, match=r"line 6: baseline\.loss: no loss 'cros_entropy' .*; did you mean 'cross_entropy'"
    ):
        load(top)


def test_a_file_of_references_to_references_is_refused_at_once(tmp_path: Path) -> None:
    laughs = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 1}]\n" for i in range(30))
    (tmp_path / "x.yaml").write_text(laughs + "train: {epoch: 3}\n")
    with pytest.raises(UserError, match=r"line 31: train\.epoch: unknown key"):
        load(tmp_path / "x.yaml")
