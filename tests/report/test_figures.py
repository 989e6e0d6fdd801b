"""Figures: what is drawn, that hostile names can be, and that equal input gives equal bytes."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fake_run import CLASSES, fake_probs, fake_run, labels
from matplotlib.figure import Figure
from PIL import Image

from al_cxr.comparison.compare import per_round, per_seed
from al_cxr.comparison.finished import Finished, load
from al_cxr.core.metrics import Metrics, measure
from al_cxr.core.records import Epoch
from al_cxr.report import curves
from al_cxr.report.kit import figures
from al_cxr.report.model_figures import confusion, history

STAMP = "phantom (synthetic: no patient was imaged) · test set 120 images"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return load(fake_run(tmp_path_factory.mktemp("run")))


def some_metrics(skill: float = 1.5, seed: int = 0) -> Metrics:
    y = labels()[-120:]
    return measure(fake_probs(y, skill, seed), y, CLASSES)


def test_confusion_shows_counts_and_row_percentages() -> None:
    test = some_metrics()
    figure = confusion(test, "t")
    shown = [t.get_text() for t in figure.axes[0].texts]
    rows = [sum(row) for row in test.confusion]
    assert shown == [f"{n}\n{100 * n / rows[i]:.1f} %" for i, row in enumerate(test.confusion) for n in row]


def test_hostile_names_and_many_classes_can_be_drawn(tmp_path: Path) -> None:
    names = tuple(f"$\\frac{i}$ <b>|{'long ' * 20}" for i in range(11))
    y = np.arange(110) % 10  # the last class has no image
    test = measure(np.eye(11)[(y + (np.arange(110) % 7 == 0)) % 11], y, names)
    figure = confusion(test, "$x^$ " * 30)
    figures.add_stamp(figure, "$\\bad$ " * 40)
    path = figures.save(figure, tmp_path / "c.png")
    with Image.open(path) as image:
        assert "Software" not in image.info and image.width <= 2000
        low, high = image.convert("L").getextrema()
        assert low < 100 and high == 255


def test_history_of_one_epoch_can_be_drawn(tmp_path: Path) -> None:
    one = Epoch(epoch=1, lr=1, train_loss=1, train_accuracy=0.5, val_loss=1, val_accuracy=0.5, val_macro_f1=0.4)
    figure = history([one], 1, "t")
    lines = {line.get_label(): line.get_ydata()[0] for line in figure.axes[1].lines}
    assert lines["validation macro F1"] == 40 and lines["training accuracy"] == 50
    figures.save(figure, tmp_path / "h.png")


def test_curve_draws_every_arm_and_seed(finished: Finished) -> None:
    long = per_seed(finished, "tuberculosis")
    figure = curves.learning_curve(finished, per_round(finished, "tuberculosis"), long, "f1", "t")
    lines = figure.axes[0].lines
    assert len(lines) == 1 + 4 + 4 * 3
    means = {line.get_label(): line for line in lines if not line.get_label().startswith("_")}
    expected = long[long["arm"] == "focal+mc_entropy"].groupby("round")["f1"].mean()
    np.testing.assert_allclose(means["focal+mc_entropy"].get_ydata(), 100 * expected)
    assert list(means["focal+mc_entropy"].get_xdata()) == [180, 220, 260, 300]
    # Strategy is colour, loss is dash: the 2 x 2 can be seen.
    assert means["focal+mc_entropy"].get_color() == means["ce+mc_entropy"].get_color()
    assert means["focal+mc_entropy"].get_linestyle() == means["focal+random"].get_linestyle() != "-"


def test_every_curve_is_named_at_its_end_and_no_name_covers_another(finished: Finished) -> None:
    frame, long = per_round(finished, "tuberculosis"), per_seed(finished, "tuberculosis")
    figure = curves.learning_curve(finished, frame, long, "f1", "t")
    axes = figure.axes[0]
    last = frame[frame["round"] == 3].set_index("arm")["f1"]
    named = {text.get_text(): text for text in axes.texts}
    for arm, value in last.items():
        assert named[arm].xy[1] == pytest.approx(100 * value)
    figure.draw_without_rendering()
    heights = sorted(text.xyann[1] for text in axes.texts)
    size = 9.5 / 72 * np.diff(axes.get_ylim())[0] / (axes.get_window_extent().height / figure.dpi)
    assert len(heights) == 5 and np.diff(heights).min() > size


def test_many_strategies_can_be_told_apart(tmp_path: Path) -> None:
    arms = {"r": ("random", "focal")} | {f"a{i}": (f"strategy{i}", "focal") for i in range(11)}
    many = load(fake_run(tmp_path, arms, seeds=(0,), rounds=1, baseline=False))
    styles = curves._styles(many).values()
    assert len({(style["color"], style["marker"]) for style in styles}) == 12


def test_acquired_bars_and_the_pool_they_came_from(finished: Finished) -> None:
    figure = curves.acquired(finished, "t")
    axes = next(a for a in figure.axes if a.get_title("left") == "focal+mc_entropy")
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(4, 3)
    np.testing.assert_allclose(heights[0], [50, 100 / 3, 50 / 3])
    np.testing.assert_allclose(heights[1:], 100 * np.array([[12, 10, 18]] * 3) / 40)
    # Before round 2 the pool holds 600 - 220 images: 300 - 102 normal, 200 - 70 pneumonia.
    steps = [segment[0][1] for segment in axes.collections[2].get_segments()]
    np.testing.assert_allclose(steps, [100 * 198 / 380, 100 * 328 / 380])


def stamped(figure: Figure) -> Figure:
    figures.add_stamp(figure, STAMP)
    return figure


def test_a_stamp_stands_below_axes_and_legend(finished: Finished) -> None:
    figure = curves.acquired(finished, "t")
    height = figure.get_size_inches()[1]
    figures.add_stamp(figure, "who was imaged " * 20)
    figure.draw_without_rendering()
    (stamp,) = [text for text in figure.texts if text.get_text().startswith("who was imaged")]
    top = stamp.get_window_extent().ymax / figure.dpi
    (legend,) = figure.legends
    assert top < legend.get_window_extent().ymin / figure.dpi
    assert legend.get_window_extent().ymax / figure.dpi < min(a.get_tightbbox().ymin for a in figure.axes) / figure.dpi
    assert "\n" in stamp.get_text() and height > 3


def test_equal_input_gives_equal_bytes_with_stamp_and_source(tmp_path: Path, finished: Finished) -> None:
    frame, long = per_round(finished, "tuberculosis"), per_seed(finished, "tuberculosis")
    for draw in (
        lambda: curves.learning_curve(finished, frame, long, "accuracy", "t"),
        lambda: curves.acquired(finished, "t"),
    ):
        a, b = (figures.png(stamped(draw()), "key") for _ in range(2))
        (tmp_path / "a.png").write_bytes(a)
        assert a == b and figures.source_of(tmp_path / "a.png") == "key"
    (tmp_path / "b.png").write_bytes(figures.png(confusion(some_metrics(), "t")))
    assert figures.source_of(tmp_path / "b.png") == ""


def whole(figure: Figure) -> np.ndarray:
    """The pixels of a figure as it is drawn, (H, W, 3)."""
    buffer = io.BytesIO()
    with mpl.rc_context(figures.STYLE):
        figure.savefig(buffer, format="png", dpi=figures.DPI)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_a_drawing_has_few_colours_and_none_is_far_off(tmp_path: Path, finished: Finished) -> None:
    frame, long = per_round(finished, "tuberculosis"), per_seed(finished, "tuberculosis")
    for draw in (
        lambda: confusion(some_metrics(), "t"),
        lambda: curves.learning_curve(finished, frame, long, "f1", "t"),
    ):
        with Image.open(figures.save(draw(), tmp_path / "few.png")) as few:
            assert few.mode == "P" and len(few.getcolors()) <= figures.COLOURS
            difference = np.asarray(few.convert("RGB")) - whole(draw())
        assert 0 < np.abs(difference).max() <= 25, "more than a tenth of the range"


def test_radiographs_keep_their_colours(tmp_path: Path) -> None:
    def draw() -> Figure:
        figure = figures.new_figure(3, 3)
        figure.subplots().imshow(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
        return figure

    saved = figures.save(draw(), tmp_path / "saved.png")
    with Image.open(saved) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), whole(draw()))
    assert figures.source_of(saved) == figures.ALONE
