"""Labels that a run used beside those that its budget counts: those of the validation images."""

from __future__ import annotations

from al_cxr.config import Settings

UNLABELLED = ("budget", "low_uncertainty", "stable_predictions")
"""Stopping rules that see no label of a validation image, at most what the network says of it."""


def validation_uses(settings: Settings) -> list[str]:
    """What the validation labels were used for in training or choosing, in words; empty: only for judging.

    A hospital that trains the same way has to label them too, so where this is not empty they are part of the price.
    """
    train, uses = settings.train, []
    if train.monitor != "none":
        uses.append(f"the epoch that is taken (train.monitor {train.monitor})")
    if train.schedule == "plateau":
        uses.append("when the learning rate falls (train.schedule plateau)")
    if train.patience:
        uses.append(f"when training ends (train.patience {train.patience})")
    if settings.stop.rule not in UNLABELLED:
        uses.append(f"when an arm stops asking (stop.rule {settings.stop.rule})")
    if settings.scoring.temperature == "validation":
        uses.append("the temperature of the pool's scores (scoring.temperature validation)")
    if (search := settings.search) is not None:
        share = f"{100 * search.labels:g} % of the" if search.labels <= 1 else f"{search.labels:,.0f}"
        uses.append(
            f"the settings, of {search.trials} trials (search), which also trained on {share} training labels with "
            f"{len(search.seeds)} seeds"
        )
    return uses
