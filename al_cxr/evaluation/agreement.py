"""How far readers agree, with each other and with themselves, and what that allows a model.

Only images that were asked at random may be compared: among images that a model chose because it doubts them, readers
agree less than anywhere, and that says nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from al_cxr.core.enough import LEAST
from al_cxr.evaluation.audit import Figure
from al_cxr.evaluation.intervals import LEVEL, Statistics, clopper_pearson, clusters, combine, draw

COEFFICIENTS = ("observed", "kappa", "ac1", "positive", "negative")


def agreement(
    first_M: np.ndarray,
    second_M: np.ndarray,
    classes: int,
    target: int,
    patients: Sequence[str] | None = None,
    level: float = LEVEL,
) -> dict[str, Figure]:
    """Compare two readings of the same images.

    Parameters
    ----------
    first_M, second_M : array of int, shape (M,)
        The classes that were answered: by two readers, or by one who read twice.
    classes : int
        How many there are to choose from.
    target : int
        The class whose positive agreement is meant: of the readings "target", and of all others.
    patients : sequence of str, optional
        Whose images they are, one or several an image; whole patients are drawn for the intervals.
    level : float
        The coverage to aim at, 0..1.

    Returns
    -------
    dict of str to Figure
        observed (share of equal answers), kappa (Cohen's), ac1 (Gwet's), positive and negative (agreement on the target
        and on the rest). Intervals are for one look. Where all answers agree only the observed agreement has one, of
        as many patients (Clopper and Pearson's).

    Raises
    ------
    ValueError
        The readings are not of the same images, or name a class that there is not.

    References
    ----------
    Cohen (1960): A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20.
    Gwet (2008): Computing inter-rater reliability and its variance in the presence of high agreement. British Journal
    of Mathematical and Statistical Psychology 61.
    Cicchetti, Feinstein (1990): High agreement but low kappa: II. Resolving the paradoxes. Journal of Clinical
    Epidemiology 43.

    Examples
    --------
    >>> first, second = np.repeat([1, 1, 0, 0], [40, 9, 6, 45]), np.repeat([1, 0, 1, 0], [40, 9, 6, 45])
    >>> found = agreement(first, second, classes=2, target=1)
    >>> round(found["observed"].value, 2), round(found["kappa"].value, 2), round(found["ac1"].value, 2)
    (0.85, 0.7, 0.7)
    """
    first_M, second_M = np.asarray(first_M), np.asarray(second_M)
    if first_M.shape != second_M.shape or first_M.ndim != 1:
        raise ValueError(f"readings {first_M.shape} and {second_M.shape} are not of the same images")
    answers = np.concatenate([first_M, second_M])
    if len(answers) and not 0 <= answers.min() <= answers.max() < classes:
        raise ValueError(f"readings name classes {answers.min()} to {answers.max()}; there are {classes}, from 0")
    if len(first_M) < LEAST:
        why = f"{len(first_M)} images were read twice ({LEAST} are needed)"
        return {name: Figure(np.nan, np.nan, np.nan, len(first_M), False, why) for name in COEFFICIENTS}
    clusters_M = clusters(patients) if patients else None
    drawn = draw(_coefficients(first_M, second_M, classes, target), len(first_M), clusters_M)
    found = combine([drawn], level, unbounded=("kappa", "ac1"))
    bounds = {name: (found[name].low, found[name].high) for name in COEFFICIENTS}
    if (first_M == second_M).all():
        whose = len(first_M) if clusters_M is None else len(np.unique(clusters_M))
        bounds["observed"] = clopper_pearson(whose, whose, level)
    return {name: _figure(name, found[name].value, *bounds[name], len(first_M)) for name in COEFFICIENTS}


def _figure(name: str, value: float, low: float, high: float, n: int) -> Figure:
    why = ""
    if not np.isfinite(value):
        why = "both readings are of one class throughout" if name in ("kappa", "ac1") else "nobody answered that"
    elif not np.isfinite(low):
        why = "all these readings are alike: an interval cannot be learned from them"
    return Figure(value, low, min(high, 1.0) if np.isfinite(high) else high, n, anytime=False, why=why)


def _coefficients(first_M: np.ndarray, second_M: np.ndarray, classes: int, target: int) -> Statistics:
    cells_MK = np.eye(classes * classes)[first_M * classes + second_M]

    def statistics(counts_BM: np.ndarray) -> dict[str, np.ndarray]:
        table_BCC = (counts_BM @ cells_MK).reshape(-1, classes, classes)
        table_BCC = table_BCC / table_BCC.sum(axis=(1, 2), keepdims=True)
        rows_BC, columns_BC = table_BCC.sum(axis=2), table_BCC.sum(axis=1)
        observed_B = np.trace(table_BCC, axis1=1, axis2=2)
        mean_BC = (rows_BC + columns_BC) / 2
        by_chance_B = (rows_BC * columns_BC).sum(axis=1)
        gwet_B = (mean_BC * (1 - mean_BC)).sum(axis=1) / (classes - 1)
        both_B, either_B = table_BCC[:, target, target], mean_BC[:, target]
        neither_B = 1 - 2 * either_B + both_B
        return {
            "observed": observed_B,
            "kappa": _ratio(observed_B - by_chance_B, 1 - by_chance_B),
            "ac1": _ratio(observed_B - gwet_B, 1 - gwet_B),
            "positive": _ratio(both_B, either_B),
            "negative": _ratio(neither_B, 1 - either_B),
        }

    return statistics


def _ratio(part_B: np.ndarray, whole_B: np.ndarray) -> np.ndarray:
    some_B = whole_B > 1e-12
    found: np.ndarray = np.divide(part_B, whole_B, out=np.full(len(whole_B), np.nan), where=some_B)
    return found


def reader_pairs(answers: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], list[str]]:
    """Which images both of two readers answered: (reader, reader) -> images, of `answers` by reader and image."""
    names = sorted(answers)
    pairs = ((one, other) for i, one in enumerate(names) for other in names[i + 1 :])
    shared = {(one, other): [image for image in answers[one] if image in answers[other]] for one, other in pairs}
    return {pair: images for pair, images in shared.items() if images}


def all_pairs(
    answers: Mapping[str, Mapping[str, int]],
    classes: int,
    target: int,
    patients: Mapping[str, str] | None = None,
    level: float = LEVEL,
) -> dict[str, Figure]:
    """Compare all readers at once: each image counts once for each pair of readers who answered it.

    Parameters
    ----------
    answers : mapping
        Reader -> image -> class, of images that were asked at random.
    classes, target, level
        As `agreement` takes them.
    patients : mapping of str to str, optional
        Image -> patient; each image is a patient's own without it.

    Returns
    -------
    dict of str to Figure
        As of `agreement`. Which reader of a pair comes first is decided by the names, so kappa means "one reader and
        another".

    Examples
    --------
    >>> answers = {"ann": dict(zip("abcdef", [1, 1, 0, 0, 0, 1])), "ben": dict(zip("abcdef", [1, 0, 0, 0, 0, 1]))}
    >>> round(all_pairs(answers, classes=2, target=1)["observed"].value, 2)
    0.83
    """
    rows = [
        (answers[one][image], answers[other][image], (patients or {}).get(image) or f"\n{image}")
        for (one, other), images in reader_pairs(answers).items()
        for image in images
    ]
    first, second, whose = zip(*rows, strict=True) if rows else ((), (), ())
    return agreement(np.array(first, np.int64), np.array(second, np.int64), classes, target, whose, level)
