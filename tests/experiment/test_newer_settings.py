"""Settings that a run did not know yet, and words that YAML reads as something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from members_run import SMALL, opened
from tiny import write_tiny

from al_cxr.config.files import load as load_settings
from al_cxr.config.files import parse_override
from al_cxr.core.errors import UserError


def test_settings_that_are_newer_than_a_run_have_their_defaults_there(tmp_path: Path) -> None:
    plain = SMALL.replace(", members: 3, temperature: validation", "")
    path = opened(tmp_path, text=plain).folder / "experiment.json"
    record = json.loads(path.read_text())
    for key in ("members", "temperature"):
        del record["settings"]["scoring"][key]
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"scoring\.temperature: off -> validation"):
        opened(tmp_path, "scoring.temperature=validation", text=plain)
    opened(tmp_path, text=plain)
    record["settings"]["scoring"]["gone"] = 1
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"results of another version of al-cxr \(settings.scoring.gone"):
        opened(tmp_path, text=plain)


@pytest.mark.parametrize("key", ["race", "temperature"])
def test_off_is_a_word_although_yaml_reads_it_as_false(tmp_path: Path, key: str) -> None:
    settings = load_settings(write_tiny(tmp_path, SMALL), overrides=[parse_override(f"scoring.{key}=off")])
    assert getattr(settings.scoring, key) == "off"
    with pytest.raises(UserError, match=rf"scoring\.{key}"):
        load_settings(write_tiny(tmp_path, SMALL), overrides=[parse_override(f"scoring.{key}=on")])
