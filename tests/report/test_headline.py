"""The first lines of a page: the same sentences for good and for bad news."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from fake_run import edit, fake_run

from al_cxr.comparison.finished import load
from al_cxr.report.headline import headline


def test_the_headline_has_the_same_sentences_for_good_and_bad_news(tmp_path: Path) -> None:
    arms = {"r": ("random", "focal"), "e": ("entropy", "focal")}
    few = load(fake_run(tmp_path / "few", arms, seeds=(0, 1, 2)))
    text = " ".join(headline(few))
    assert "in 3 paired seeds" in text and "No arm is shown to be better or worse than random" in text
    assert (
        "3 seeds cannot show any difference, however large: the smallest corrected p that they can give is 0.25" in text
    )
    many = load(fake_run(tmp_path / "many", arms, seeds=tuple(range(8)), rounds=5))
    better, measured, support_of_n, *_ = headline(many)
    assert re.fullmatch(r"Better than random: e \+.* points of F1, p at most 0\.0\d+\.", better)
    assert measured.startswith("How it was measured: ") and "in 8 paired seeds" in measured
    assert support_of_n.startswith("8 seeds are enough to show a difference")
    swapped = {"e": ("random", "focal"), "r": ("entropy", "focal")}
    root = tmp_path / "worse"
    shutil.copytree(tmp_path / "many", root)
    settings = many.experiment.settings
    named = {name: {"strategy": s, "loss": loss} for name, (s, loss) in swapped.items()}
    edit(root / "experiment.json", settings=settings | {"arms": named})
    assert headline(load(root))[0].startswith("Worse than random: r −")
