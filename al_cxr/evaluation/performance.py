"""What is measured on the answers of one model: accuracy, F1, areas under the curve, and the target at a threshold."""

from __future__ import annotations

import numpy as np

from al_cxr.evaluation.intervals import Statistics, clopper_pearson


def exact_shares(
    probs_NC: np.ndarray, labels_N: np.ndarray, target: int | None, threshold: float | None
) -> dict[str, tuple[float, float]]:
    """Exact intervals (Clopper-Pearson) of those statistics of `performance` that are shares of independent images."""
    ill_N, right_N = labels_N == target, probs_NC.argmax(axis=1) == labels_N
    shares = {"accuracy": (right_N.sum(), right_N.size)}
    if target is not None and threshold is not None:
        flagged_N = probs_NC[:, target] >= threshold
        shares |= {"sensitivity": ((ill_N & flagged_N).sum(), ill_N.sum())}
        shares |= {"specificity": ((~ill_N & ~flagged_N).sum(), (~ill_N).sum())}
        shares |= {"ppv": ((ill_N & flagged_N).sum(), flagged_N.sum())}
        shares |= {"npv": ((~ill_N & ~flagged_N).sum(), (~flagged_N).sum())}
        shares |= {"flagged_accuracy": ((ill_N == flagged_N).sum(), ill_N.size)}
    return {name: clopper_pearson(int(part), int(whole)) for name, (part, whole) in shares.items()}


def auc(scores_N: np.ndarray, positive_N: np.ndarray, counts_BN: np.ndarray) -> np.ndarray:
    """Area under the ROC curve (B,) of images that count several times, ties as half (Mann & Whitney 1947); NaN where a
    sample lacks one of the two kinds. All samples at once, from one sorting."""
    kinds = np.flatnonzero(~positive_N), np.flatnonzero(positive_N)
    negative, positive = (kind[np.argsort(scores_N[kind], kind="stable")] for kind in kinds)
    lower_P, upper_P = (np.searchsorted(scores_N[negative], scores_N[positive], side) for side in ("left", "right"))
    below_BM = np.zeros((len(counts_BN), len(negative) + 1))
    np.cumsum(counts_BN[:, negative], axis=1, out=below_BM[:, 1:])
    positive_BP = counts_BN[:, positive]
    right_B = np.einsum("bp,bp->b", positive_BP, below_BM[:, lower_P])
    if (lower_P < upper_P).any():
        right_B = (right_B + np.einsum("bp,bp->b", positive_BP, below_BM[:, upper_P])) / 2
    return _share(right_B, positive_BP.sum(axis=1) * below_BM[:, -1])


def performance(probs_NC: np.ndarray, labels_N: np.ndarray, target: int | None, threshold: float | None) -> Statistics:
    """Statistics for `intervals.bootstrap`, all in 0..1 and as in core.metrics: `accuracy`, `macro_f1`, `f1_0`.. and
    `auc_0`.. a class, `roc_auc` (mean over classes), and for the target (None: no class) at `threshold` on its
    probability what `performance_at_threshold` measures; NaN without a threshold.
    """
    probs_NC = np.asarray(probs_NC, np.float64)
    classes = probs_NC.shape[1]
    cells_NC2 = np.eye(classes * classes)[labels_N * classes + probs_NC.argmax(axis=1)]
    flagged = performance_at_threshold(probs_NC, labels_N, target, threshold)

    def statistics(counts_BN: np.ndarray) -> dict[str, np.ndarray]:
        confusion_BCC = (counts_BN @ cells_NC2).reshape(-1, classes, classes)
        right_BC = np.diagonal(confusion_BCC, axis1=1, axis2=2)
        true_BC, called_BC = confusion_BCC.sum(axis=2), confusion_BCC.sum(axis=1)
        f1_BC = np.where(true_BC > 0, _share(2 * right_BC, true_BC + called_BC), np.nan)
        auc_BC = np.stack([auc(probs_NC[:, c], labels_N == c, counts_BN) for c in range(classes)], axis=1)
        found = {"accuracy": _share(right_BC.sum(axis=1), counts_BN.sum(axis=1))}
        found |= {"macro_f1": _mean(f1_BC), "roc_auc": _mean(auc_BC)}
        found |= {f"f1_{c}": f1_BC[:, c] for c in range(classes)} | {f"auc_{c}": auc_BC[:, c] for c in range(classes)}
        return found | flagged(counts_BN)

    return statistics


def performance_at_threshold(
    probs_NC: np.ndarray, labels_N: np.ndarray, target: int | None, threshold: float | None
) -> Statistics:
    """Statistics of the answers "target" and "not the target", in 0..1: `sensitivity` and `specificity`, and at the
    images' own prevalence `ppv`, `npv`, `flagged_f1` (of the target) and `flagged_accuracy`; NaN without a threshold.
    """
    ill_N = labels_N == target
    flagged_N = np.zeros(len(labels_N), bool)
    if target is not None and threshold is not None:
        flagged_N = probs_NC[:, target] >= threshold
    calls_N4 = np.stack([ill_N & flagged_N, ill_N & ~flagged_N, ~ill_N & flagged_N, ~ill_N & ~flagged_N], axis=1)

    def statistics(counts_BN: np.ndarray) -> dict[str, np.ndarray]:
        tp, fn, fp, tn = (counts_BN @ calls_N4).T if threshold is not None else np.zeros((4, len(counts_BN)))
        return {
            "sensitivity": _share(tp, tp + fn),
            "specificity": _share(tn, tn + fp),
            "ppv": _share(tp, tp + fp),
            "npv": _share(tn, tn + fn),
            "flagged_f1": np.where(tp + fn > 0, _share(2 * tp, 2 * tp + fp + fn), np.nan),
            "flagged_accuracy": _share(tp + tn, tp + fn + fp + tn),
        }

    return statistics


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is no whole."""
    share: np.ndarray = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return share


def _mean(values_BC: np.ndarray) -> np.ndarray:
    """Mean over the classes that a sample defines; NaN of none."""
    known_BC = np.isfinite(values_BC)
    return _share(np.where(known_BC, values_BC, 0.0).sum(axis=1), known_BC.sum(axis=1))
