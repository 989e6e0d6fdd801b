"""`Bundle.predict`: the answers of the command, for paths, folders, arrays and Pillow images, as a DataFrame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import al_cxr
from al_cxr.bundles.bundle import Bundle
from al_cxr.cli.__main__ import main

pytestmark = pytest.mark.filterwarnings("ignore:.*(validation image|unlike the training|nothing on them)")


@pytest.fixture(scope="module")
def model(single: Path) -> Bundle:
    return al_cxr.open_bundle(single)


@pytest.fixture(scope="module")
def answers(model: Bundle, images: Path) -> pd.DataFrame:
    return model.predict(images)


def alike(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """The same answers, whatever the images are called."""
    pd.testing.assert_frame_equal(one.drop(columns="path"), other.drop(columns="path"), atol=1e-6)


def test_the_frame_is_the_csv_of_the_command(single: Path, images: Path, answers: pd.DataFrame, tmp_path: Path) -> None:
    assert main(["predict", str(single), str(images), "--out", str(tmp_path / "p.csv")]) == 0
    written = pd.read_csv(tmp_path / "p.csv", keep_default_na=False, na_values={"mutual_information": "", "unlike": ""})
    assert list(answers.columns) == list(written.columns) and len(answers) == 40
    for column in answers:
        digits = 4 if column == "unlike" else 6
        if pd.api.types.is_float_dtype(answers[column]):
            np.testing.assert_allclose(answers[column], written[column], atol=0.6 * 10**-digits)
        else:
            assert answers[column].tolist() == written[column].tolist()


def test_a_path_an_array_and_a_pillow_image_get_the_same_answer(
    model: Bundle, images: Path, answers: pd.DataFrame
) -> None:
    first = answers.head(4)
    paths = [images / name for name in first["path"]]
    opened = [Image.open(path) for path in paths]
    arrays = np.stack([np.asarray(image) for image in opened])
    for given in (paths, [str(path) for path in paths], opened, arrays, list(arrays)):
        alike(model.predict(given), first)
    assert model.predict(paths)["path"].tolist() == [str(path) for path in paths]
    assert model.predict(arrays)["path"].tolist() == ["0", "1", "2", "3"]
    for one in (paths[0], opened[0], arrays[0]):
        alike(model.predict(one), first.head(1))


def test_a_csv_names_the_images(model: Bundle, images: Path, answers: pd.DataFrame) -> None:
    last = answers.tail(3)
    file = images / "list.csv"
    try:
        last[["path"]].to_csv(file, index=False)
        again = model.predict(file)
    finally:
        file.unlink()
    alike(again, last.reset_index(drop=True))
    assert again["path"].tolist() == last["path"].tolist()


def test_a_missing_disagreement_is_missing_and_a_class_is_never_a_number(model: Bundle, answers: pd.DataFrame) -> None:
    assert answers["predicted"].isin(model.record.classes).all()
    assert answers["is_tuberculosis"].dtype == "Int64" and answers["mutual_information"].notna().all()
    alone = model.record.model_copy(update={"uncertainty": "none", "random_sites": []})
    decision = alone.decision.model_copy(update={"threshold": None})
    without = Bundle(alone.model_copy(update={"decision": decision}), model.fits).predict(
        np.zeros((1, 30, 30), np.uint8)
    )
    assert without["mutual_information"].isna().all() and without["is_tuberculosis"].isna().all()
    assert without["unlike"].isna().all() and without["decided_by"].tolist() == ["the largest probability"]
    assert without["abstain"].tolist() == [1] and without["note"].str.startswith("blank").all()


def test_what_cannot_be_read_is_left_out_with_a_warning(model: Bundle, images: Path, answers: pd.DataFrame) -> None:
    good = images / answers["path"][0]
    with pytest.warns(UserWarning, match=r"left out, cannot be read .*1 of 2 images \(nowhere\.png\)"):
        assert len(model.predict([good, "nowhere.png"])) == 1
    with pytest.raises(al_cxr.UserError, match=r"none of 1 images could be read; the first is nowhere\.png"):
        model.predict("nowhere.png")
    with pytest.raises(al_cxr.UserError, match=r"an array of float64 \(9, 9\); give grey images as uint8"):
        model.predict(np.zeros((2, 9, 9)))
    with pytest.raises(al_cxr.UserError, match="no images were given"):
        model.predict([])
    with pytest.raises(al_cxr.UserError, match=r'mode F; convert it to grey with convert\("L"\)'):
        model.predict(Image.new("F", (20, 20)))


def test_a_seed_of_a_run_is_opened_as_its_bundle_is(run: Path, images: Path) -> None:
    several = al_cxr.open_bundle(run / "baseline")
    assert several.record.members == 2 and len(several.predict(images)) == 40
    with pytest.raises(al_cxr.UserError, match="no such folder; give a bundle"):
        al_cxr.open_bundle(run / "nothing")
