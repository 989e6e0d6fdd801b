"""One thing written in several ways is one thing, and that is said; what has no meaning is refused."""

from __future__ import annotations

import unicodedata

import pytest

from al_cxr.core.errors import UserError
from al_cxr.core.names import class_name, known_class, plain
from al_cxr.data.spelling import patient_key, spell


def where(i: int) -> str:
    return f"t.csv: row {i + 2}"


def spelt(column: str, *cells: str) -> tuple[list[str], str]:
    columns, notes = spell({column: list(cells)}, where)
    return columns[column], "\n".join(notes)


COMPOSED = "tuberculose pulmonar é"


@pytest.mark.parametrize(
    "other",
    [
        "Normal",
        " normal",
        "normal\u00a0",
        "nor\u200bmal",
        "\ufeffnormal",
        "normal\u2060",
        "nor\u00admal",
        "normal\ufe0f",
        "normal\u2800",
        "ｎｏｒｍａｌ",
        "normal\r",
    ],
)
def test_labels_that_differ_by_nothing_that_can_be_seen_are_one_class_and_that_is_said(other: str) -> None:
    labels, notes = spelt("label", "normal", other, "tb")
    assert labels == ["normal", "normal", "tb"]
    assert "labels written in different ways are one class, normal: 'normal' 1, " in notes


@pytest.mark.parametrize("other", ["no  finding", "no\tfinding", "no\u2003finding", "No Finding"])
def test_blanks_inside_a_label_are_one_blank(other: str) -> None:
    labels, notes = spelt("label", "no finding", other)
    assert labels == ["no finding"] * 2 and "are one class" in notes


def test_composed_and_decomposed_accents_are_one_class() -> None:
    decomposed = unicodedata.normalize("NFD", COMPOSED)
    assert decomposed != COMPOSED
    labels, notes = spelt("label", COMPOSED, decomposed)
    assert labels == [COMPOSED] * 2 and "are one class" in notes
    assert known_class(decomposed, [COMPOSED], "x") == COMPOSED and plain(decomposed) == COMPOSED


@pytest.mark.parametrize(("zero", "one"), [("0.0", "1.0"), ("00", "01"), ("0,0", "1,0"), ("-0", "+1")])
def test_numbers_are_one_class_however_they_are_written(zero: str, one: str) -> None:
    labels, notes = spelt("label", "0", zero, "1", one)
    assert labels == ["0", "0", "1", "1"] and notes.count("are one class") == 2
    assert spelt("label", zero, one) == (["0", "1"], f"the label {zero!r} is called 0\nthe label {one!r} is called 1")
    assert class_name("1.50") == "1.5" and class_name("10") == "10" and class_name("1.0.0") == "1.0.0"


def test_labels_that_are_consistent_are_not_talked_about() -> None:
    assert spelt("label", "Normal", "TB", "Normal", "grade 1", "grade 2", "no tb", "abnormal")[1] == ""
    assert spelt("label", "hiv+", "hiv-")[0] == ["hiv+", "hiv-"]


@pytest.mark.parametrize(
    "pair", [("no_finding", "no finding"), ("covid-19", "covid 19"), ("tubercolosis", "tuberculosis")]
)
def test_classes_that_are_spelt_almost_alike_stay_two_and_are_named(pair: tuple[str, str]) -> None:
    labels, notes = spelt("label", *pair)
    assert labels == list(pair) and "are spelt almost alike" in notes and all(repr(name) in notes for name in pair)


@pytest.mark.parametrize(
    "label",
    [
        "Pneumonia|Effusion",
        "No Finding|Nodule",
        "mass; nodule",
        "tb, effusion",
        "effusion/TB",
        "tb + effusion",
        "TB & effusion",
        "tb and effusion",
        "['tb', 'effusion']",
    ],
)
def test_several_findings_in_one_label_are_refused_by_row(label: str) -> None:
    with pytest.raises(UserError, match=r"t\.csv: row 4: the label .* is several findings \(.*\(1 of 4 labels"):
        spelt("label", "normal", "tb", label, "normal")


def test_a_label_with_a_comma_is_a_class_where_its_parts_are_none_and_that_is_asked() -> None:
    labels, notes = spelt("label", "Collecting duct, connecting tubule", "left and right", "normal")
    assert len(set(labels)) == 3 and notes.count("may be several findings") == 2


@pytest.mark.parametrize("label", ["", " ", "NaN", "<NA>", "n/a", "null", "-", "?", "\u200b"])
def test_an_empty_label_is_refused_by_row(label: str) -> None:
    with pytest.raises(UserError, match=r"t\.csv: row 3: label is .*write a class"):
        spelt("label", "normal", label)


def test_a_label_that_may_mean_that_there_is_none_is_asked_about() -> None:
    assert (
        "2 images have the label 'unknown', taken for a class: is it one?"
        in spelt("label", "a", "Unknown", "unknown")[1]
    )


UNKNOWN = [
    "None",
    "unknown",
    "UNKNOWN",
    "anonymous",
    "Anon",
    "-",
    ".",
    "n/a",
    "NA",
    "?",
    "nan",
    "null",
    "<NA>",
    "\u200b-",
]


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_unknown_patient_is_nobody_and_that_is_said(text: str) -> None:
    ids, notes = spelt("patient_id", "p1", text, text, "")
    assert ids == ["p1", "", "", ""] and notes.startswith(
        f"2 images are of unknown patients, written {plain(text)!r} 2"
    )


@pytest.mark.parametrize("other", ["7", "7.0", " 7 ", "0007", "7,0", "'00007", "7\u200b", "７"])
def test_a_number_is_one_patient_however_it_is_written(other: str) -> None:
    ids, notes = spelt("patient_id", "00007", other, "8")
    assert ids == ["7", "7", "8"] and "1 patients are written in more than one way" in notes and "'00007' 1" in notes


def test_patients_that_are_written_in_one_way_keep_their_ids() -> None:
    ids = ["00007", "00070", "P001", "IM-0001-0001", "1.2.840.0.1", "7.5", "x"]
    assert spelt("patient_id", *ids) == (ids, "")
    assert len({patient_key(text) for text in ids}) == len(ids)


def test_ids_that_differ_by_case_or_zeros_within_them_are_one_patient() -> None:
    assert spelt("patient_id", "P007", "p7", "P-70")[0] == ["p7", "p7", "P-70"]


def test_ids_that_a_spreadsheet_has_rounded_are_said() -> None:
    assert "1.23E+11 were rounded by a spreadsheet" in spelt("patient_id", "1.23E+11", "p")[1]


def test_a_patient_who_has_a_third_of_all_images_is_said() -> None:
    notes = spelt("patient_id", *["0"] * 10, *[f"p{i}" for i in range(15)])[1]
    assert notes.startswith("10 of 25 images are of one patient, '0'")


def test_sources_in_two_spellings_are_one() -> None:
    sources, notes = spelt("source", "Montgomery", "montgomery ", "unknown", "Shenzhen")
    assert (
        sources == ["montgomery", "montgomery", "", "Shenzhen"]
        and "1 sources are written in more than one way" in notes
    )


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("45", "45"),
        ("1.3", "1.3"),
        ("045Y", "45"),
        ("006M", "0.5"),
        ("6 months", "0.5"),
        ("026W", "0.5"),
        ("010D", "0.03"),
        ("45 years", "45"),
        ("45yrs.", "45"),
        ("45 years old", "45"),
        ("1,5", "1.5"),
        (">89", "89"),
        ("90+", "90"),
        ("NA", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_ages_are_years(text: str, years: str) -> None:
    assert spelt("age", text) == ([years], "")


def test_ages_of_nobody_are_unknown_and_said_and_words_are_refused() -> None:
    assert spelt("age", "414", "50", "-1") == (
        ["", "50", ""],
        "2 ages are not those of a person and count as unknown: 414, -1",
    )
    for text in ("fifty", "40-49", "1980-02-30", "5 parsecs"):
        with pytest.raises(UserError, match=r"t\.csv: row 3: age .* is not an age; write years, such as 45 or 0\.5"):
            spelt("age", "50", text)


def test_sex_and_view_have_one_spelling() -> None:
    assert spelt("sex", "male", "F", "w", "", "unknown") == (["M", "F", "F", "", ""], "")
    assert "1 cells of sex are neither M nor F and count as unknown: '1'" in spelt("sex", "M", "1")[1]
    assert spelt("view", "pa", " AP ", "n/a") == (["PA", "AP", ""], "")


def test_splits_by_any_of_their_names() -> None:
    assert spelt("split", "TRAIN", "Validation ", "te\u200bst") == (["train", "val", "test"], "")
    with pytest.raises(UserError, match=r"row 3: unknown split 'tset'; did you mean 'test'"):
        spelt("split", "train", "tset")


def test_an_unknown_class_comes_with_the_nearest() -> None:
    with pytest.raises(UserError, match="--class: no class 'tubercolosis'; did you mean 'tuberculosis'"):
        known_class("tubercolosis", ["normal", "tuberculosis"], "--class")
    assert known_class("Tuberculosis ", ["normal", "tuberculosis"], "") == "tuberculosis"
    assert known_class("1.0", ["0", "1"], "") == "1"
