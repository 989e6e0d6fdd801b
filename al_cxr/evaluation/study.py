"""What all tables about the models of one test share: classes, target, goal of the threshold, prevalences, patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from al_cxr.evaluation.intervals import Drawn, Estimate, combine, draw
from al_cxr.evaluation.operating import Goal, Threshold, doubts
from al_cxr.evaluation.performance import exact_shares, performance, performance_at_threshold
from al_cxr.evaluation.predicted import Predicted

PREVALENCES = (0.005, 0.02, 0.10)
"""Of the target among those who are screened: a population, contacts of the ill, people with symptoms."""


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """`target` is a position in `classes` (None: no class is asked about), `prevalences` lie in 0..1.

    `clusters_N` numbers the patients of the tested images; None where each image is independent of the others.
    """

    classes: Sequence[str]
    target: int | None
    goal: Goal = field(default_factory=Goal)
    prevalences: Sequence[float] = PREVALENCES
    clusters_N: np.ndarray | None = None
    _drawn: dict[Predicted, Drawn] = field(default_factory=dict, repr=False)

    @property
    def target_name(self) -> str:
        """The class that is asked about; "" without one."""
        return "" if self.target is None else self.classes[self.target]

    def threshold(self, model: Predicted, goal: Goal | None = None) -> Threshold:
        """The model's own for the study's goal, or for another one, chosen on validation."""
        if self.target is None:
            return Threshold(None, np.nan, np.nan, "no class is asked about")
        return model.threshold(self.target, goal or self.goal)

    def doubts(self, model: Predicted) -> str:
        """Why the model has no threshold, or what one of few validation images can be worth elsewhere; else ""."""
        threshold, labels_M = self.threshold(model), model.val_labels_M
        if threshold.value is None or labels_M is None:
            return threshold.note
        ill = int((labels_M == self.target).sum())
        few = doubts(self.target_name, ill, len(labels_M) - ill, threshold.sensitivity, threshold.specificity)
        return "; ".join(few)

    def estimates(self, models: Sequence[Predicted], rows_N: np.ndarray | None = None) -> dict[str, Estimate]:
        """What `performance.performance` measures, mean over models, of all images or of those that the mask `rows_N`
        picks; NaN where a model has no threshold.

        Intervals are over images (or patients) and models (`intervals.mean_interval`). Shares have exact ones where it
        is one model and independent images, and where every model gave every image the same answer, of which no
        resampling can learn anything.
        """
        rows = np.ones(len(models[0].labels_N), bool) if rows_N is None else rows_N
        return self._with_exact(combine([self._draw(model, rows_N) for model in models]), models, rows, self.goal)

    def estimates_for(self, models: Sequence[Predicted], goal: Goal) -> dict[str, Estimate]:
        """What `performance.performance_at_threshold` measures at each model's threshold for another goal, mean over
        models, of all images; intervals as those of `estimates`."""
        if self.target is None:
            raise ValueError("no class is asked about")
        drawn = []
        for model in models:
            threshold = self.threshold(model, goal).value
            statistics = performance_at_threshold(model.probs_NC, model.labels_N, self.target, threshold)
            drawn.append(draw(statistics, len(model.labels_N), self.clusters_N))
        return self._with_exact(combine(drawn), models, np.ones(len(models[0].labels_N), bool), goal)

    def _with_exact(
        self, found: dict[str, Estimate], models: Sequence[Predicted], rows_N: np.ndarray, goal: Goal
    ) -> dict[str, Estimate]:
        """The same with exact intervals where there are any."""
        first = models[0]
        threshold = self.threshold(first, goal).value
        exact = exact_shares(first.probs_NC[rows_N], first.labels_N[rows_N], self.target, threshold)
        alone = len(models) == 1 and self.clusters_N is None
        for name, (low, high) in exact.items():
            if name in found and (alone or (np.isfinite(found[name].value) and np.isnan(found[name].low))):
                found[name] = replace(found[name], low=low, high=high)
        return found

    def _draw(self, model: Predicted, rows_N: np.ndarray | None) -> Drawn:
        """Several tables ask for the same model on all images: that is kept."""
        if rows_N is None and model in self._drawn:
            return self._drawn[model]
        rows = slice(None) if rows_N is None else rows_N
        labels = model.labels_N[rows]
        statistics = performance(model.probs_NC[rows], labels, self.target, self.threshold(model).value)
        found = draw(statistics, len(labels), None if self.clusters_N is None else self.clusters_N[rows])
        if rows_N is None:
            self._drawn[model] = found
        return found
