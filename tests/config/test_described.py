"""Every setting says what it is, as the reference of experiment files is made from it."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from al_cxr.config import Settings
from al_cxr.config.written import sections_in


def sections() -> list[type[BaseModel]]:
    """All parts of the settings, those of every kind of data source among them."""
    found: list[type[BaseModel]] = [Settings]
    for section in found:
        for field in section.model_fields.values():
            found += [inner for inner in sections_in(field.annotation) if inner not in found]
    return found


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_setting_has_a_description_of_its_own(section: type[BaseModel]) -> None:
    assert section.__dict__.get("__doc__"), f"{section.__name__} says nothing of itself"
    described = {name: field.description or "" for name, field in section.model_fields.items()}
    for name, text in described.items():
        assert len(text) > 8 and text != name, f"{section.__name__}.{name} is not described"
    assert len(set(described.values())) == len(described), f"two settings of {section.__name__} say the same"


def test_the_settings_hold_every_section_and_every_kind_of_source() -> None:
    names = {section.__name__ for section in sections()}
    assert names >= {"DataSettings", "TrainSettings", "ScannerSettings", "Dimension", "ClassFigures", "FolderSource"}
