"""The sections on calibration, operating points, screening and subgroups, of a run and of an external test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from al_cxr.core.enough import FEW
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.subgroups import Subgroup, subgroups
from al_cxr.report.calibration_tables import calibration_table, ranking_table
from al_cxr.report.evaluation_figures import reliability_diagram, subgroups_figure
from al_cxr.report.evaluation_tables import goals_table, operating_table, screening_table, subgroups_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import paragraph
from al_cxr.report.kit.tables import Table
from al_cxr.report.kit.text import escape

MakeTable = Callable[[Group, StudyDesign, str, str], Table]


def add_sections(
    page: Page, groups: Sequence[Group], study: StudyDesign, table: pd.DataFrame | None, shown: Collection[str]
) -> None:
    """The sections on calibration, operating points, screening and subgroups. `table` has a row a tested image (None:
    nothing is known of them); the tables of groups whose name is not in `shown` are linked."""
    first = [group for group in groups if group.name in shown] or list(groups[:1])
    sections = _Sections(page, study, first, [group for group in groups if group not in first])
    target = escape(study.target_name)
    page.add("## Calibration")
    sections.add_calibration()
    page.add("## Operating points")
    sections.add_tables(operating_table, "operating", f"{target} at {study.goal}")
    page.add(sections.remarks(study.doubts), "## Other thresholds")
    sections.add_tables(goals_table, "thresholds", f"{target}, yes or no")
    page.add("## Screening")
    sections.add_tables(screening_table, "screening", "1,000 people")
    page.add("## Subgroups")
    sections.add_subgroups([] if table is None else subgroups(table))


@dataclass(frozen=True)
class _Sections:
    """Where they go, and the groups whose tables are open (at least one) or linked."""

    page: Page
    study: StudyDesign
    first: Sequence[Group]
    others: Sequence[Group]

    def add_tables(self, make: MakeTable, kind: str, title: str) -> None:
        """One table a group; the notes stand below the first."""
        for group in (*self.first, *self.others):
            table = make(group, self.study, f"{kind}-{group.name}", f"{title}: {escape(group.label)}")
            self.page.table(table, inline=group in self.first, notes=group is self.first[0])

    def add_calibration(self) -> None:
        title = "Do the probabilities hold?"
        self.page.table(calibration_table(self.first, self.study, "calibration", title))
        self.page.add(self.remarks(lambda model: model.temperature.note))
        for group in self.first:
            title = f"Reliability: {group.label}"
            if len(group.models) > 1:
                title += f", {len(group.models)} seeds together"
            self.page.figure(reliability_diagram(group.models, title), f"reliability-{group.name}", title)
        if self.others:
            title = "Do the probabilities of the other models hold?"
            self.page.table(calibration_table(self.others, self.study, "calibration-others", title), inline=False)
        self.page.table(ranking_table((*self.first, *self.others)))

    def add_subgroups(self, found: Sequence[Subgroup]) -> None:
        if not found:
            self.page.add(paragraph("evaluation", "no_subgroups"))
            return
        for group in (*self.first, *self.others):
            title = f"Subgroups: {group.label}"
            table = subgroups_table(group, found, self.study, f"subgroups-{group.name}", escape(title))
            self.page.table(table, inline=group in self.first, notes=group is self.first[0])
            if group in self.first:
                self.page.add(worst(table.frame, found, self.study))
                figure = subgroups_figure(table.frame, self.study.target_name, title)
                self.page.figure(figure, f"subgroups-{group.name}", title)

    def remarks(self, note: Callable[[Predicted], str]) -> str:
        """What went wrong with some models' temperature or threshold, as a list; models of which the same is to be
        said share a line."""
        models_of: dict[str, list[str]] = {}
        for group in self.first:
            named = {f"{group.label}, {model.name}": model for model in group.models}
            if group.ensemble is not None:
                named[group.ensemble.name] = group.ensemble
            for name, model in named.items():
                if text := note(model):
                    models_of.setdefault(text, []).append(name)
        return "\n".join(f"- {escape('; '.join(names))}: {escape(text)}." for text, names in models_of.items())


def worst(frame: pd.DataFrame, found: Sequence[Subgroup], study: StudyDesign) -> str:
    """One sentence on the worst subgroup by accuracy, and one by the target's sensitivity, among the subgroups of a
    `subgroups_table` that have enough images (of the target) and a known value."""
    sentences = []
    for metric, size in (("accuracy", "images"), ("sensitivity", "ill")):
        rows = frame.iloc[1:][[subgroup.nameable for subgroup in found]]
        rows = rows[(rows[size] >= FEW) & rows[metric].notna()]
        if len(rows) >= 2:
            row = rows.loc[rows[metric].idxmin()].to_dict()
            values = {"metric": metric, "size": size, "row": row, "everybody": frame[metric].iloc[0]}
            sentences.append(paragraph("evaluation", "worst", target=study.target_name, **values))
    return " ".join(sentences) or "No subgroup is large enough to be called the worst."
