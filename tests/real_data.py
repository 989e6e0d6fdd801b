"""Where the real radiographs lie that tests are made with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared(*parts: str) -> Path:
    """A folder of the real radiographs, which lie beside the repository (or where AL_CXR_SHARED points).

    In CI they must be there; elsewhere a test that needs them is skipped and says so.
    """
    root = Path(os.environ.get("AL_CXR_SHARED", REPOSITORY.parent / "shared")).joinpath(*parts)
    if root.exists():
        return root
    message = f"real radiographs not found at {root}; set AL_CXR_SHARED to the folder that holds data/cxr"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
