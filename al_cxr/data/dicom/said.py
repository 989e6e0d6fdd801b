"""What is said of DICOM files that are not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

PREFIX = "DICOM: "
"""How the reason begins for which a DICOM file is left out."""

NEEDS = f'{PREFIX}the extra dicom is not installed (pip install "al-cxr[dicom]")'


def summary(reasons: Iterable[str]) -> list[str]:
    """A sentence about the DICOM files among files that were left out for these reasons; none if there are none."""
    counts = Counter(reason.removeprefix(PREFIX) for reason in reasons if reason.startswith(PREFIX))
    if not counts:
        return []
    total = counts.total()
    files = "1 DICOM file was" if total == 1 else f"{total:,} DICOM files were"
    return [f"{files} left out: {'; '.join(f'{n:,} {reason}' for reason, n in counts.most_common())}"]
