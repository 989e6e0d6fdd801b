"""One spelling for what people write about their images: classes, splits, patients, sources, ages, sexes and views.

Spreadsheets and scripts write one thing in many ways: patient 00007 comes back as 7 or 7.0, an unknown one as None or
"-", a class with a blank at its end or in another case. Every source passes what it has read through `spell`, which
says in a note what it took for what, and refuses what has no meaning here.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations

from al_cxr.core.errors import UserError
from al_cxr.core.names import class_name, plain
from al_cxr.core.nearest import hint, same_meaning
from al_cxr.data import persons
from al_cxr.data.persons import Where
from al_cxr.data.unknown import is_empty, is_undecided, is_unknown

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What splits are called -> their names here."""

MUCH = 1 / 3
"""Share of all images from which on it is said that they are of one patient."""
ALIKE = 0.88
"""Likeness of two words from which on one may be a slip of the other: pneumonia and pnuemonia have 0.89."""

_LISTED_ONE = re.compile(r"\[\s*(['\"]?)([^,|;\[\]]*?)\1\s*\]")
"""A list of one label, as Python prints it."""
_AND = re.compile(r"\s*[,/+&]\s*| and ")
_SCIENTIFIC = re.compile(r"\d([.,]\d+)?e\+?\d+", re.ASCII | re.IGNORECASE)

Columns = dict[str, list[str]]


def spell(columns: Mapping[str, list[str]], where: Where) -> tuple[Columns, list[str]]:
    """Columns of N cells as they were read -> the same in one spelling, and a note for each thing that was changed in
    meaning. Columns that are not known here keep their words.

    Raises
    ------
    UserError
        For a label that is empty or several findings, an unknown split, or an age that is none.
    """
    known = ("split", "age", "sex", "view")
    out = {k: [plain(cell) if k in known else cell.strip() for cell in cells] for k, cells in columns.items()}
    notes: list[str] = []
    if "label" in columns:
        out["label"] = _labels(columns["label"], where, notes)
    if "split" in columns:
        out["split"] = _splits(out["split"], where)
    for name, key in (("patient_id", patient_key), ("source", str.lower)):
        if name in columns:
            out[name] = _merged(name, columns[name], key, notes)
    if "patient_id" in columns:
        notes += _doubtful_patients(out["patient_id"])
    for name, read in (("age", persons.ages), ("sex", persons.sexes), ("view", persons.views)):
        if name in columns:
            out[name] = read(out[name], where, notes)
    return out, notes


def split_name(text: str) -> str | None:
    """train, val or test by any of its names; None for another word."""
    return _SPLITS.get(plain(text).lower())


def patient_key(text: str) -> str:
    """Equal for ids that are one patient's in two spellings: 00007, 7, 7.0 and '7; P007, P-7 and p7."""
    key = plain(unicodedata.normalize("NFKC", text)).lstrip("'").lower()
    if re.fullmatch(r"\d+[.,]0+", key, re.ASCII):
        key = re.split(r"[.,]", key)[0]
    key = re.sub(r"^([a-z]+)[\s_-]+(?=\d+$)", r"\1", key)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", key, flags=re.ASCII)


def _labels(raw_N: list[str], where: Where, notes: list[str]) -> list[str]:
    names_N = [_LISTED_ONE.sub(r"\2", class_name(cell)) for cell in raw_N]
    for i, name in enumerate(names_N):
        if is_empty(name):
            raise UserError(
                f"{where(i)}: label is {plain(raw_N[i]) or 'empty'}; write a class, or leave this image out"
            )
    classes = sorted(set(names_N))
    findings = {name: _findings(name, classes) for name in classes}
    for i, name in enumerate(names_N):
        if findings[name]:
            count = sum(len(findings[other]) > 0 for other in names_N)
            raise UserError(
                f"{where(i)}: the label {name!r} is several findings ({', '.join(findings[name])}), and al-cxr has one "
                f"label an image ({count} of {len(names_N)} labels are like this); write "
                "the one finding that you ask about, e.g. its name or 'other'"
            )
    for name, written in _spellings(raw_N, names_N).items():
        first = plain(next(iter(written)))
        if len(written) > 1:
            notes.append(f"labels written in different ways are one class, {name}: {_listed(written)}")
        elif name != first.lower():
            notes.append(f"the label {first!r} is called {name}")
    for name in classes:
        if is_undecided(name):
            notes.append(f"{names_N.count(name)} images have the label {name!r}, taken for a class: is it one?")
    notes += [
        f"the classes {a!r} ({names_N.count(a)} images) and {b!r} ({names_N.count(b)}) "
        f"{'are spelt almost alike' if _alike(a, b) else 'may mean the same'}: if they are one, write it in one "
        "way"
        for a, b in combinations(classes, 2)
        if _alike(a, b) or same_meaning(a, b)
    ]
    notes += [
        f"the class {name!r} ({names_N.count(name)} images) may be several findings: then write the one you ask about"
        for name in classes
        if len(_AND.split(name)) > 1
    ]
    return names_N


def _findings(name: str, classes: Iterable[str]) -> list[str]:
    """The findings that a label names together; none where it is one."""
    if name.startswith("[") and name.endswith("]"):  # a list, as Python prints it
        return [part.strip(" '\"") for part in name[1:-1].split(",")]
    sure = [part.strip() for part in re.split(r"[|;\\]", name)]
    if len(sure) > 1:
        return [part for part in sure if part]
    maybe, words = _AND.split(name), name.split()
    if len(maybe) > 1 and any(part in classes for part in maybe):
        return maybe
    return words if len(words) > 1 and all(word in classes for word in words) else []


def _alike(a: str, b: str) -> bool:
    """Whether two classes differ by blanks and hyphens alone, or by a letter within a long word."""
    words = [re.split(r"(?<=\w)[\s_-]+(?=\w)", name.replace("_", " ")) for name in (a, b)]
    if "".join(words[0]) == "".join(words[1]):
        return True
    pairs = [(v, w) for v, w in zip(*words, strict=False) if v != w]
    return len(words[0]) == len(words[1]) and all(
        v[0] == w[0] and v.isalpha() and w.isalpha() and difflib.SequenceMatcher(None, v, w).ratio() >= ALIKE
        for v, w in pairs
    )


def _splits(texts_N: list[str], where: Where) -> list[str]:
    if not any(texts_N):
        return texts_N
    for i, text in enumerate(texts_N):
        if split_name(text) is None:
            what = (
                f"unknown split {text!r}{hint(text, _SPLITS)}" if text else "split is empty, and is not in other rows"
            )
            raise UserError(f"{where(i)}: {what}")
    return [_SPLITS[text.lower()] for text in texts_N]


def _merged(column: str, raw_N: list[str], key: Callable[[str], str], notes: list[str]) -> list[str]:
    """Ids of which those with one key are written alike: as they stand there, where they stand there in one way."""
    what = "patients" if column == "patient_id" else "sources"
    texts_N = [plain(cell) for cell in raw_N]
    unknown = Counter(text for text in texts_N if text and is_unknown(text))
    if unknown:
        alone = "; each of their images counts as a patient of its own" if column == "patient_id" else ""
        written = ", ".join(f"{text!r} {n}" for text, n in unknown.most_common(5))
        notes.append(f"{unknown.total()} images are of unknown {what}, written {written}{alone}")
    keys_N = ["" if is_unknown(text) else key(text) for text in texts_N]
    spellings = _spellings(raw_N, keys_N)
    several = {k: written for k, written in spellings.items() if k and len(written) > 1}
    if several:
        examples = "; ".join(_listed(written) for written in list(several.values())[:3])
        notes.append(f"{len(several)} {what} are written in more than one way and taken for one each: {examples}")
    out = []
    for k, text in zip(keys_N, texts_N, strict=True):
        written = k if k in several else text
        out.append(written if k else "")
    return out


def _spellings(raw_N: list[str], keys_N: list[str]) -> dict[str, Counter[str]]:
    """Key -> how it was written, and how often."""
    found: dict[str, Counter[str]] = {}
    for raw, key in zip(raw_N, keys_N, strict=True):
        found.setdefault(key, Counter())[raw] += 1
    return found


def _listed(written: Counter[str]) -> str:
    return ", ".join(f"{ascii(text) if plain(text) != text else repr(text)} {n}" for text, n in written.most_common(4))


def _doubtful_patients(ids_N: list[str]) -> list[str]:
    found = []
    known = Counter(text for text in ids_N if text)
    if eaten := [text for text in known if _SCIENTIFIC.fullmatch(text)]:
        found.append(
            f"patients such as {eaten[0]} were rounded by a spreadsheet: several patients may have become one; "
            "export their ids as text"
        )
    most, images = known.most_common(1)[0] if known else ("", 0)
    if len(known) > 1 and images >= max(10, MUCH * len(ids_N)):
        found.append(
            f"{images} of {len(ids_N)} images are of one patient, {most!r}: if that stands for unknown ones, leave "
            "these cells empty"
        )
    return found
