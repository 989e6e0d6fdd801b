"""Answers to read again: where a model that has not learned from an answer doubts it.

Both scores need *out-of-fold* probabilities, of models that were trained without the image: a model trained on an
answer believes it. A low score is a reason to look again, and no proof: hard images and rare findings score low too.
"""

from __future__ import annotations

import numpy as np

_LEAST_WEIGHT = 1e-6


def self_confidence(probs_MC: np.ndarray, labels_M: np.ndarray) -> np.ndarray:
    """How probable the model holds each answer, by what it holds of answers of that class.

    Parameters
    ----------
    probs_MC : array, shape (M, C)
        Out-of-fold probabilities.
    labels_M : array of int, shape (M,)
        The classes that were answered.

    Returns
    -------
    array, shape (M,)
        The probability of the answered class less the mean of that over answers of this class (so that a rare class,
        which is held improbable throughout, is not doubted as a whole), moved into 0..1; read the lowest again.

    References
    ----------
    Northcutt, Jiang, Chuang (2021): Confident learning: estimating uncertainty in dataset labels. JAIR 70.
    arXiv 1911.00068.

    Examples
    --------
    >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> self_confidence(probs, np.array([0, 0, 1, 1])).argsort().tolist()
    [1, 2, 0, 3]
    """
    probs_MC, labels_M = np.asarray(probs_MC, np.float64), np.asarray(labels_M)
    own_M = probs_MC[np.arange(len(labels_M)), labels_M]
    counts_C = np.bincount(labels_M, minlength=probs_MC.shape[1])
    mean_C = np.bincount(labels_M, own_M, minlength=probs_MC.shape[1]) / np.maximum(counts_C, 1)
    scores_M: np.ndarray = (own_M - mean_C[labels_M] + 1) / 2
    return scores_M


def confident_errors(probs_MC: np.ndarray, labels_M: np.ndarray) -> np.ndarray:
    """Which answers confident learning takes for wrong: another class is held as probable as it is of its own answers.

    Parameters
    ----------
    probs_MC : array, shape (M, C)
        Out-of-fold probabilities.
    labels_M : array of int, shape (M,)
        The classes that were answered.

    Returns
    -------
    array of bool, shape (M,)
        Where, of the classes whose probability reaches the mean that it has over answers of that class, the most
        probable is not the answered one.

    References
    ----------
    Northcutt, Jiang, Chuang (2021): Confident learning: estimating uncertainty in dataset labels. JAIR 70.
    arXiv 1911.00068.

    Examples
    --------
    >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9]])
    >>> confident_errors(probs, np.array([0, 0, 1, 1, 0])).tolist()
    [False, False, False, False, True]
    """
    probs_MC, labels_M = np.asarray(probs_MC, np.float64), np.asarray(labels_M)
    own_M, classes = probs_MC[np.arange(len(labels_M)), labels_M], probs_MC.shape[1]
    counts_C = np.bincount(labels_M, minlength=classes)
    mean_C = np.bincount(labels_M, own_M, minlength=classes) / np.maximum(counts_C, 1)
    mean_C[counts_C == 0] = np.inf  # nothing says how probable a class is that nobody answered
    likely_MC = np.where(probs_MC >= mean_C, probs_MC, -1.0)
    wrong_M: np.ndarray = (likely_MC.max(axis=1) > 0) & (likely_MC.argmax(axis=1) != labels_M)
    return wrong_M


def active_lab(probs_MC: np.ndarray, answers_MR: np.ndarray) -> np.ndarray:
    """ActiveLab's score: how far each image is settled, by the model and its answers; one queue for first and second
    reads.

    Parameters
    ----------
    probs_MC : array, shape (M, C)
        Out-of-fold probabilities.
    answers_MR : array of int, shape (M, R)
        What each of R readers answered; -1 where a reader did not. Images without an answer have a score too.

    Returns
    -------
    array, shape (M,)
        0..1; ask for the lowest next. Where no image has two answers, readers and model weigh alike; otherwise by how
        well they agree with others, as CROWDLAB weighs them.

    References
    ----------
    Goh, Mueller (2023): ActiveLab: active learning with re-labeling by multiple annotators. arXiv 2301.11856.
    Goh, Tkachenko, Mueller (2022): CROWDLAB: supervised learning to infer consensus labels and quality scores for data
    with multiple annotators. arXiv 2210.06812.

    Examples
    --------
    >>> probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    >>> active_lab(probs, np.array([[0], [1], [-1]])).round(2).tolist()
    [0.77, 0.23, 0.55]
    """
    probs_MC, answers_MR = np.asarray(probs_MC, np.float64), np.asarray(answers_MR)
    classes, given_MR = probs_MC.shape[1], answers_MR >= 0
    votes_MC = np.stack([(answers_MR == c).sum(axis=1) for c in range(classes)], axis=1)
    # The most answers win, and the model decides between equals.
    agreed_M = (votes_MC + probs_MC / (1 + probs_MC.sum(axis=1, keepdims=True))).argmax(axis=1)
    of_model_M = probs_MC[np.arange(len(agreed_M)), agreed_M]
    several_M = given_MR.sum(axis=1) > 1
    readers_R, model, quality_M = np.ones(answers_MR.shape[1]), 1.0, of_model_M
    if several_M.any():
        same_MR = given_MR & (answers_MR == agreed_M[:, None])
        readers_R, model = _weights(probs_MC[several_M], answers_MR[several_M], agreed_M[several_M])
        rate = float(same_MR[several_M].sum() / given_MR[several_M].sum())
        said_MR = np.where(same_MR, rate, (1 - rate) / (classes - 1)) * given_MR
        quality_M = (model * of_model_M + said_MR @ readers_R) / (model + given_MR @ readers_R)
    settled_M, one_more = given_MR @ readers_R + model, float(readers_R.mean())
    scores_M: np.ndarray = (settled_M * quality_M + one_more / classes) / (settled_M + one_more)
    return scores_M


def _weights(probs_MC: np.ndarray, answers_MR: np.ndarray, agreed_M: np.ndarray) -> tuple[np.ndarray, float]:
    """The weights of readers (R,) and of the model, from images with several answers: 1 less the error by that of
    answering the most frequent class always; readers by each other, the model by the answer that most gave."""
    given_MR = answers_MR >= 0
    naive = max(float((agreed_M != np.bincount(agreed_M).argmax()).mean()), _LEAST_WEIGHT)
    same_MR = np.stack([(answers_MR == answers_MR[:, [r]]).sum(axis=1) - 1 for r in range(answers_MR.shape[1])], axis=1)
    others_M = given_MR.sum(axis=1) - 1
    compared_R = (given_MR * others_M[:, None]).sum(axis=0)
    agreed_R = (given_MR * same_MR).sum(axis=0)
    everybody = agreed_R.sum() / compared_R.sum()
    share_R = np.divide(agreed_R, compared_R, out=np.full(len(compared_R), everybody), where=compared_R > 0)
    readers_R = np.clip(1 - (1 - share_R) / naive, _LEAST_WEIGHT, None)
    error = float((probs_MC.argmax(axis=1) != agreed_M).mean())
    return readers_R, max(1 - error / naive, _LEAST_WEIGHT) * float(np.sqrt(given_MR.sum(axis=1).mean()))
