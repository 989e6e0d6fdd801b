"""Where decoded pixels, features and whatever else can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """$AL_CXR_CACHE, else $XDG_CACHE_HOME/al-cxr, else ~/.cache/al-cxr."""
    if own := os.environ.get("AL_CXR_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "al-cxr"
