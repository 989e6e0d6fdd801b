"""What a person is told of a bundle, on the terminal and on a page."""

from __future__ import annotations

from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.record import LARGEST, BundleRecord

DISCLAIMER = "Research software: not a medical device, not for diagnosis."


def terminal_lines(record: BundleRecord) -> list[str]:
    """What a reader of the terminal has to know of a model, a line each."""
    r = record
    lines = [f"model     {r.name}: {r.archs}, {_networks(r)}, {r.image_size} px, {', '.join(r.classes)}"]
    rule = f"by {LARGEST}; no threshold"
    if r.decision.threshold is not None:
        rule = f"{r.target} where P({r.target}) >= {r.decision.threshold:.4f}"
    lines.append(f"decision  {rule} for {r.decision.goal} on validation; temperature {r.temperature:.3f}")
    if r.adapted:
        images = f"{r.adapted.images:,} images without labels"
        lines.append(f"adapted   {r.adapted.members} of {r.members} networks, to {images}")
    rare = 100 * (1 - r.abstention.val_coverage)
    lines.append(f"abstain   where no probability reaches {r.abstention.confidence:.4f} ({rare:.1f} % of validation)")
    return lines + [f"warning   {caution}" for caution in r.cautions]


def in_one_line(bundle: Bundle) -> str:
    """What a page has to say of a bundle: its networks, and what was done to their answers."""
    r = bundle.record
    said = f"{_networks(r)} ({r.archs})"
    if r.adapted:
        said += f", {r.adapted.members} of them adapted to {r.adapted.images:,} images without labels"
    return f"{said}, {bundle.identity()[:12]}; probabilities are calibrated, with its temperature {r.temperature:.3f}"


def _networks(record: BundleRecord) -> str:
    return "1 network" if record.members == 1 else f"{record.members} networks"
