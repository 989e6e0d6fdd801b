"""Performance of tested models: figures against scikit-learn, exact intervals, ensembles."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import CLASSES
from predicted_models import model
from sklearn.metrics import roc_auc_score

from al_cxr.core.metrics import measure
from al_cxr.evaluation.intervals import bootstrap, clopper_pearson, clusters
from al_cxr.evaluation.operating import Goal
from al_cxr.evaluation.performance import auc, performance
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign


def once(statistics: object, n: int) -> dict[str, float]:
    return {name: float(v[0]) for name, v in statistics(np.ones((1, n))).items()}  # type: ignore[operator]


def test_performance_is_what_metrics_say() -> None:
    m = model()
    found, theirs = once(performance(m.probs_NC, m.labels_N, 2, 0.3), 200), measure(m.probs_NC, m.labels_N, CLASSES)
    assert found["accuracy"] == pytest.approx(theirs.accuracy) and found["macro_f1"] == pytest.approx(theirs.macro.f1)
    assert found["roc_auc"] == pytest.approx(theirs.roc_auc)
    for c, name in enumerate(CLASSES):
        assert found[f"f1_{c}"] == pytest.approx(theirs.of(name).f1)
        assert found[f"auc_{c}"] == pytest.approx(roc_auc_score(m.labels_N == c, m.probs_NC[:, c]))
    flagged, ill = m.probs_NC[:, 2] >= 0.3, m.labels_N == 2
    assert found["sensitivity"] == pytest.approx(flagged[ill].mean())
    assert found["specificity"] == pytest.approx((~flagged[~ill]).mean())
    assert found["ppv"] == pytest.approx(ill[flagged].mean()) and found["npv"] == pytest.approx((~ill[~flagged]).mean())


def test_an_area_with_ties_and_with_copies_is_scikit_learns() -> None:
    r = np.random.default_rng(0)
    for digits in (1, 8):
        scores, ill, counts = r.random(60).round(digits), r.random(60) < 0.4, r.integers(0, 4, (5, 60)).astype(float)
        expected = [roc_auc_score(ill, scores, sample_weight=c) for c in counts]
        np.testing.assert_allclose(auc(scores, ill, counts), expected)
    assert np.isnan(auc(scores, np.ones(60, bool), counts)).all()


def test_without_a_threshold_or_a_class_nothing_is_made_up() -> None:
    m = model()
    only = m.labels_N != 2
    found = once(performance(m.probs_NC[only], m.labels_N[only], 2, None), int(only.sum()))
    assert all(np.isnan(found[k]) for k in ("f1_2", "auc_2", "sensitivity", "specificity", "ppv", "npv"))
    assert found["macro_f1"] == pytest.approx((found["f1_0"] + found["f1_1"]) / 2)
    unknown = Predicted("x", m.probs_NC, m.labels_N)
    assert unknown.temperature.value == 1 and "not known" in unknown.temperature.note
    assert unknown.threshold(2, Goal()).value is None
    with pytest.raises(ValueError, match="do not fit"):
        Predicted("x", m.probs_NC, m.labels_N[1:])


def test_shares_of_one_model_are_exact_unless_patients_repeat() -> None:
    m = model()
    study = StudyDesign(CLASSES, 2)
    ill, right = m.labels_N == 2, m.probs_NC.argmax(axis=1) == m.labels_N
    threshold = m.threshold(2, Goal()).value
    found = study.estimates([m])
    assert (found["accuracy"].low, found["accuracy"].high) == clopper_pearson(int(right.sum()), 200)
    hits = int((m.probs_NC[ill, 2] >= threshold).sum())
    assert (found["sensitivity"].low, found["sensitivity"].high) == clopper_pearson(hits, int(ill.sum()))
    ids = clusters([f"p{i // 2}" for i in range(200)])
    patients = StudyDesign(CLASSES, 2, clusters_N=ids).estimates([m])
    direct = bootstrap([performance(m.probs_NC, m.labels_N, 2, threshold)], 200, ids)
    assert patients["accuracy"] == direct["accuracy"]
    numbers = clusters(["b", "", "b"])
    assert clusters(["", "", "a"]) is None and numbers is not None and numbers.tolist() == [1, 0, 1]


def test_models_that_are_always_right_are_not_certain() -> None:
    y = np.repeat([0, 1, 2], 20)
    perfect = [Predicted(f"s{s}", 0.97 * np.eye(3)[y] + 0.01, y, 0.97 * np.eye(3)[y] + 0.01, y) for s in range(3)]
    found = StudyDesign(CLASSES, 2).estimates(perfect)
    assert (found["sensitivity"].low, found["sensitivity"].high) == clopper_pearson(20, 20)


def test_an_ensemble_is_one_model_with_its_own_temperature_and_threshold() -> None:
    group = Group("g", "g", [model(s) for s in range(4)])
    whole = group.ensemble
    assert whole is not None and group.ensemble is whole
    np.testing.assert_allclose(whole.probs_NC, np.mean([m.probs_NC for m in group.models], axis=0))
    single = [once(performance(m.probs_NC, m.labels_N, 2, None), 200)["accuracy"] for m in group.models]
    assert once(performance(whole.probs_NC, whole.labels_N, 2, None), 200)["accuracy"] > max(single)
    assert whole.temperature.value < min(m.temperature.value for m in group.models)  # means of members are too modest
    assert Group("g", "g", [model()]).ensemble is None
    blind = [Predicted(m.name, m.probs_NC, m.labels_N) for m in group.models]
    unknown = Group("g", "g", [group.models[0], *blind[1:]]).ensemble
    assert unknown is not None and unknown.val_probs_MC is None
    with pytest.raises(ValueError, match="different images"):
        Group("g", "g", [model(), model(n=100)])
