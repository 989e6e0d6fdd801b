"""Experiments by their names: which file a name means, and the copy that a person edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_cxr.cli.__main__ import main
from al_cxr.config import files, shipped
from al_cxr.core.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_experiment_of_the_repository_comes_with_the_package() -> None:
    assert shipped.names() == sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
    assert all(path.samefile(ROOT / "experiments" / path.name) for path in shipped.folder().iterdir())


def test_a_name_means_the_file_here_then_the_one_in_experiments_then_the_one_that_comes_along() -> None:
    assert shipped.find("tb_entropy") == shipped.folder() / "tb_entropy.yaml"
    Path("experiments").mkdir()
    Path("experiments/tb_entropy.yaml").write_text("seeds: [1]\n")
    assert shipped.find("tb_entropy") == Path("experiments/tb_entropy.yaml")
    Path("tb_entropy.yaml").write_text("seeds: [2]\n")
    assert shipped.find("tb_entropy") == Path("tb_entropy.yaml")
    Path("tb_entropy").mkdir()  # a folder of this name is no experiment
    assert shipped.find("tb_entropy") == Path("tb_entropy.yaml")


def test_a_path_is_taken_as_it_is() -> None:
    Path("own").write_text("seeds: [1]\n")
    assert shipped.find("own") == Path("own")
    assert shipped.find("there/own.yaml") == Path("there/own.yaml")


def test_a_name_of_no_file_is_one_error_that_offers_the_nearest() -> None:
    with pytest.raises(UserError, match=r"tb_entrop: .*tb_entrop\.yaml nor experiments/tb_entrop\.yaml.*'tb_entropy'"):
        shipped.find("tb_entrop")


def test_a_path_that_leads_nowhere_says_how_the_shipped_file_is_named() -> None:
    with pytest.raises(UserError, match=r"experiments/cxr3\.yaml: no such experiment file; cxr3 alone"):
        shipped.find("experiments/cxr3.yaml")


def test_a_shipped_file_finds_what_it_extends_from_any_folder() -> None:
    settings = files.load(shipped.find("pneumoniamnist"))
    assert settings.data.sources[0].kind == "medmnist"


def test_init_copies_an_experiment_and_what_it_extends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "shenzhen"]) == 0
    assert capsys.readouterr().out.splitlines() == ["file      shenzhen.yaml", "file      tb_entropy.yaml"]
    for name in ("shenzhen.yaml", "tb_entropy.yaml"):
        assert Path(name).read_bytes() == (ROOT / "experiments" / name).read_bytes()
    assert files.load(shipped.find("shenzhen")) == files.load(ROOT / "experiments/shenzhen.yaml")
    assert main(["init", "cxr3", "--out", "elsewhere"]) == 0
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["cxr3.yaml", "tb_entropy.yaml"]


def test_init_never_overwrites_and_leaves_nothing_half_done(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tb_entropy.yaml").write_text("seeds: [1]\n")
    assert main(["init", "shenzhen"]) == 2
    assert "tb_entropy.yaml: is there already" in capsys.readouterr().err
    assert Path("tb_entropy.yaml").read_text() == "seeds: [1]\n" and not Path("shenzhen.yaml").exists()


def test_init_leaves_a_file_that_is_the_same_already(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "shenzhen"]) == main(["init", "cxr3"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["file      cxr3.yaml"]
    assert main(["init", "cxr3"]) == 0
    assert "cxr3.yaml is there already" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tb_entrop", "../tb_entropy", "tb_entropy.yaml", ""])
def test_init_of_a_name_that_is_none_is_an_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", name]) == 2
    assert "no experiment of this name comes with al-cxr" in capsys.readouterr().err
    assert not list(Path().iterdir())
