"""How few images are too few: every limit below which a choice or a figure is withheld or doubted, and the words.

Counts alone are looked at. How wide an interval is then, says al_cxr.evaluation.intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

LEAST = 5
"""Images of a kind below which nothing is chosen on them and no figure of them is given: of 4 that are all right, the
exact 95 % interval is 40 to 100 %."""
FEW = 20
"""Images of a kind from which on a figure stands without a warning: of 20 with 18 right it is 68 to 99 %."""
CROWD = 0.25
"""Share of a split's images that one patient has, from which on it is said."""
PREFIX = "few images: "

_SHAKY = {"val": "the epochs, temperatures and thresholds that are chosen on them are rough"}


def of_split(split: str, counts: Mapping[str, int], name: str = "") -> list[str]:
    """What a reader must know of the images by class that figures are measured on ("test") or choices made on ("val"):
    one sentence, or none. `name` is what to call it, if not after the split."""
    rare = {name: n for name, n in counts.items() if n < FEW}
    if not rare or not any(counts.values()):
        return []
    each = ", ".join(f"{n} of {name}" for name, n in rare.items())
    smallest = min((n for n in rare.values() if n), default=0)
    what = _SHAKY.get(split)
    if what is None:
        what = f"one image more or less right moves a percentage by {100 / smallest:.0f} points" if smallest else ""
        absent = [name for name, n in rare.items() if not n]
        none = f"of {', '.join(absent)} nothing can be said" if absent else ""
        what = "; ".join(part for part in (what, none) if part)
    return [f"{PREFIX}{name or split} has {each}: {what}"]


def of_patients(split: str, patients: Iterable[str]) -> list[str]:
    """Whether one patient ("" is an unknown one) has a large part of the images of a split: one sentence, or none."""
    ids = list(patients)
    known = Counter(name for name in ids if name)
    most = max(known.values(), default=0)
    if most < 2 or most < CROWD * len(ids):
        return []
    return [f"one patient has {most:,} of the {len(ids):,} images of {split}: its figures are much about that person"]


def for_temperature(images: int, wrong: int) -> str:
    """Why so many validation images, so many of them answered wrongly, cannot give a temperature; "" if they can."""
    if images >= FEW and wrong >= LEAST:
        return ""
    return (
        f"{images:,} validation images, of which {wrong} are answered wrongly, are too few for a temperature ({FEW} "
        f"images and {LEAST} wrong answers are needed)"
    )


def for_threshold(ill: int, well: int) -> str:
    """Why so many validation images with and without the target cannot give a threshold; "" if they can."""
    if min(ill, well) >= LEAST:
        return ""
    return (
        f"{ill} validation images of the target and {well} others are too few for a threshold ({LEAST} of each are "
        "needed)"
    )
