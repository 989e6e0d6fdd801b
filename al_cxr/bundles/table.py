"""A bundle's answers as a table, one row an image: `record.columns` says what stands in each column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from al_cxr.bundles.answers import Answers
from al_cxr.bundles.record import LARGEST, BundleRecord, columns
from al_cxr.data.quality.odd import ImageCheck
from al_cxr.evaluation.operating import decide

Row = list[str]


def frame_of(
    record: BundleRecord, names: Sequence[str], answers: Answers, checks: Sequence[ImageCheck]
) -> pd.DataFrame:
    """The answers to some images, and what was seen of them.

    `is_TARGET` and `abstain` are 1 or 0, missing where there is nothing to say. An image that is odd to look at has a
    note and no answer to rely on: `abstain` is 1.
    """
    target, threshold = record.classes.index(record.target), record.decision.threshold
    predicted_N = decide(answers.probs_NC, target, threshold)
    unsure_N = answers.probs_NC.max(axis=1, initial=0) < record.abstention.confidence
    is_target = pd.Series(predicted_N == target, dtype="Int64")
    values: dict[str, Any] = {
        "path": list(names),
        **{f"p_{name}": answers.probs_NC[:, c] for c, name in enumerate(record.classes)},
        "predicted": [record.classes[c] for c in predicted_N],
        "entropy": answers.entropy_N,
        "mutual_information": math.nan if answers.mutual_information_N is None else answers.mutual_information_N,
        f"is_{record.target}": is_target if threshold is not None else pd.Series(pd.NA, is_target.index, "Int64"),
        "abstain": [int(bool(check.what) or unsure) for check, unsure in zip(checks, unsure_N, strict=True)],
        "decided_by": LARGEST if threshold is None else f"P({record.target}) >= {threshold:.4f}",
        "unlike": [math.nan if check.unlike is None else check.unlike for check in checks],
        "note": [check.what for check in checks],
    }
    return pd.DataFrame(values, columns=list(columns(record)))


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """The rows as the CSV has them: six decimals (of `unlike` four), nothing where there is nothing to say."""
    written = {name: [_written(value, 4 if name == "unlike" else 6) for value in frame[name]] for name in frame}
    return [list(row) for row in zip(*written.values(), strict=True)]


def csv_bytes(header: Row, rows: Iterable[Sequence[str]]) -> bytes:
    """The text of a CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _written(value: object, digits: int) -> str:
    if value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
