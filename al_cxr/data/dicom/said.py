"""What is said of DICOM files that are not used."""

from __future__ import annotations

from collections.abc import Iterable

from al_cxr.data.doubts import grouped

PREFIX = "DICOM: "
"""How the reason begins for which a DICOM file is left out."""

NEEDS = f'{PREFIX}the extra dicom is not installed (pip install "al-cxr[dicom]")'

_REASONS = 12
"""Reasons that the sentence names, the most frequent first."""


def summary(reasons: Iterable[str]) -> list[str]:
    """A sentence about the DICOM files among files that were left out for these reasons; none if there are none."""
    of_dicom = [reason.removeprefix(PREFIX) for reason in reasons if reason.startswith(PREFIX)]
    if not of_dicom:
        return []
    counts = sorted(((len(n), text) for text, n in grouped(("", r) for r in of_dicom).items()), key=lambda c: -c[0])
    said = [f"{count:,} {reason}" for count, reason in counts[:_REASONS]]
    if rest := sum(count for count, _ in counts[_REASONS:]):
        said.append(f"{rest:,} for {len(counts) - _REASONS:,} other reasons")
    files = "1 DICOM file was" if len(of_dicom) == 1 else f"{len(of_dicom):,} DICOM files were"
    return [f"{files} left out: {'; '.join(said)}"]
