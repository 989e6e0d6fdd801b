"""How long a training is: as many steps with few labels as with all of them, cut from whole passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_trainer import make_model, make_task

from al_cxr.config import TrainSettings
from al_cxr.training.length import images_trained, orders, part_steps, uneven
from al_cxr.training.trainer import fit


@pytest.mark.parametrize("labelled", [2, 5, 17, 33, 60])
def test_steps_are_the_same_for_any_number_of_labels(labelled: int) -> None:
    task = make_task(steps=23, validations=5, monitor="none")
    fitted = fit(make_model(arch="mlp"), replace(task, train_index=task.train_index[:labelled]))
    assert fitted.steps == 23 == fitted.history[-1].steps
    assert [row.steps for row in fitted.history] == np.cumsum(part_steps(task.settings, labelled)).tolist()
    assert fitted.best_epoch == 5


def test_epochs_give_few_labels_few_steps() -> None:
    assert sum(part_steps(TrainSettings(epochs=30, batch_size=16), 215)) == 420
    assert sum(part_steps(TrainSettings(epochs=30, batch_size=16), 718)) == 1350


def test_before_a_start_with_epochs_it_is_said_what_cannot_be_told_apart() -> None:
    said = uneven(TrainSettings(epochs=30, batch_size=16), 215, 718)
    assert said is not None and "215 labels are trained for 420" in said and "718 for 1,350" in said
    assert uneven(TrainSettings(steps=420), 215, 718) is None


def test_a_training_without_a_length_has_a_thousand_steps() -> None:
    settings = TrainSettings()
    assert settings.length == ("steps", 1000) and part_steps(settings, 50) == [50] * 20


def test_steps_and_epochs_together_are_refused() -> None:
    with pytest.raises(ValueError, match="set one to null"):
        TrainSettings(steps=5, epochs=5)


@pytest.mark.parametrize(("labelled", "batch_size"), [(10, 4), (9, 4), (3, 8), (33, 16)])
def test_every_pass_sees_every_image_once_and_parts_join_without_a_seam(labelled: int, batch_size: int) -> None:
    index = np.arange(100, 100 + labelled)
    whole = np.concatenate(list(orders(index, batch_size, 3, 0, 12)))
    cut = [np.concatenate(list(orders(index, batch_size, 3, first, 4))) for first in (0, 4, 8)]
    assert np.array_equal(np.concatenate(cut), whole)
    each = labelled - (labelled % batch_size == 1)  # batch-norm cannot train on one image
    for start in range(0, len(whole) - each + 1, each):
        seen = whole[start : start + each]
        assert len(set(seen)) == each and set(seen) <= set(index)


def test_the_images_of_a_training_are_counted_as_often_as_they_are_seen() -> None:
    settings = TrainSettings(steps=12, batch_size=4)
    assert images_trained(settings, 8) == 48
    assert images_trained(settings, 10) == 40  # passes of 4, 4 and 2
    assert images_trained(settings, 9) == 48  # the ninth is left out of each pass
