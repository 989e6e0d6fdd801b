"""How long a training is: optimizer steps, and the parts between two looks at the validation images.

A part is a pass over the labelled images where `train.epochs` is set, and an equal share of `train.steps` otherwise.
Steps are cut from passes in either case: each pass sees every labelled image once, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from al_cxr.config import TrainSettings
from al_cxr.core.seeds import rng


def usable(labelled: int, batch_size: int) -> int:
    """Images of a pass that are trained on: batch-norm cannot train on a last batch of a single one."""
    return labelled - 1 if labelled % batch_size == 1 else labelled


def steps_a_pass(labelled: int, batch_size: int) -> int:
    return -(-usable(labelled, batch_size) // batch_size)


def part_steps(settings: TrainSettings, labelled: int) -> list[int]:
    """Optimizer steps of each part of a training on so many labelled images (two or more)."""
    unit, count = settings.length
    if unit == "epochs":
        return [steps_a_pass(labelled, settings.batch_size)] * count
    ends = np.linspace(0, count, settings.parts + 1).round().astype(int)
    return [int(steps) for steps in np.diff(ends)]


def images_trained(settings: TrainSettings, labelled: int) -> int:
    """Images that a whole training sees, each as often as it is seen."""
    steps, each = sum(part_steps(settings, labelled)), steps_a_pass(labelled, settings.batch_size)
    return steps * usable(labelled, settings.batch_size) // each if each else 0


def uneven(settings: TrainSettings, few: int, many: int) -> str | None:
    """What to know before a start that trains few labels for other steps than many; None where it does not."""
    steps = [sum(part_steps(settings, labelled)) for labelled in (few, many)]
    if steps[0] == steps[1]:
        return None
    return (
        f"train.epochs is set, so {few:,} labels are trained for {steps[0]:,} optimizer steps and {many:,} for "
        f"{steps[1]:,}: what more labels bring and what longer training brings cannot be told apart; set "
        f"train.epochs to null and train.steps to a number, e.g. {steps[1]}"
    )


def orders(train_index: np.ndarray, batch_size: int, seed: int, first: int, steps: int) -> Iterator[np.ndarray]:
    """The images (absolute indices) of the steps from number `first` on, in order, pass by pass."""
    count = usable(len(train_index), batch_size)
    each = steps_a_pass(len(train_index), batch_size)
    while steps > 0:
        number, at = divmod(first, each)
        taken = min(steps, each - at)
        order = rng(seed, "order", number).permutation(train_index)[:count]
        yield order[at * batch_size : (at + taken) * batch_size]
        first, steps = first + taken, steps - taken
