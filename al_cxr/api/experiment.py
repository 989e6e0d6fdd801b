"""An active-learning experiment as one object: its settings, its plan, its run and its comparison."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from al_cxr.api.opening import check_arms, load_and_describe, missing_features, open_run, radiographs_of, report_folder
from al_cxr.api.reports import say_pages
from al_cxr.api.result import Result
from al_cxr.comparison.compare import per_round
from al_cxr.comparison.finished import load as load_finished
from al_cxr.config import Settings, files, shipped
from al_cxr.core import provenance
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_about
from al_cxr.core.progress import Working
from al_cxr.data.sources.named import named_source
from al_cxr.data.sources.source import Source
from al_cxr.experiment import sweep
from al_cxr.experiment.estimate import TimeEstimate
from al_cxr.experiment.run_folder import note_commit
from al_cxr.experiment.workspace import Workspace
from al_cxr.report.experiment import write_report
from al_cxr.report.terminal import comparison_text
from al_cxr.strategies.budget import seed_size
from al_cxr.training.length import uneven


@dataclass(frozen=True)
class Experiment:
    """An active-learning experiment: data, a model and its training, a budget of labels, and arms that spend it.

    An arm is a strategy with a loss. Made by `from_yaml`; what it does it says on the screen, as `al-cxr run` does.

    Attributes
    ----------
    file : Path
        The experiment file.
    name : str
        What the folders of its run and its report are called.
    overrides : tuple of mapping
        What is changed of the file, as nested mappings.
    profile : str or None
        Profiles of the file that are applied, with commas between them.
    runs, results : Path
        Folders of all runs and of all reports.

    Examples
    --------
    >>> import al_cxr
    >>> changes = {"budget.rounds": 2}
    >>> experiment = al_cxr.Experiment.from_yaml("tb_entropy", changes, data="phantom:300")
    >>> experiment.name, experiment.settings.budget.rounds
    ('tb_entropy-phantom', 2)
    >>> result = experiment.run()  # doctest: +SKIP
    >>> result.tables["summary"]  # doctest: +SKIP
    """

    file: Path
    name: str
    overrides: tuple[Mapping[str, Any], ...] = ()
    profile: str | None = None
    runs: Path = Path("runs")
    results: Path = Path("results")

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        overrides: Mapping[str, Any] | Iterable[str] = (),
        *,
        profile: str | None = None,
        data: str | Path | Source | None = None,
        name: str | None = None,
        runs: str | os.PathLike[str] = "runs",
        results: str | os.PathLike[str] = "results",
    ) -> Experiment:
        """Read an experiment file.

        Parameters
        ----------
        path : path
            The YAML file, or the name of one: here, in the folder experiments, or of those that come with al-cxr.
        overrides : mapping, str or iterable of str
            What to change of it: `{"train.steps": 200}`, or `"train.steps=200"`, as after `--set`, or
            several of those.
        profile : str, optional
            Profiles of the file to apply, with commas between them; each changes those before it.
        data : str, Path or Source, optional
            Data to use instead of the file's: a folder, a CSV, or a word such as "phantom:1000".
        name : str, optional
            Of the run's folder; made from the file, the profile and the data unless given.
        runs, results : path
            Folders of all runs and of all reports.

        Returns
        -------
        Experiment

        Raises
        ------
        UserError
            Where the file, an override, the data or the name cannot be used; the message names file and key.
        """
        file = shipped.find(os.fspath(path))
        source = named_source(data) if isinstance(data, (str, Path)) else data
        if isinstance(overrides, Mapping):
            layers = [files.nested(key, value) for key, value in overrides.items()]
        else:
            texts = [overrides] if isinstance(overrides, str) else overrides
            layers = [files.parse_override(text) for text in texts]
        if source is not None:
            layers.append({"data": {"sources": [source.model_dump()]}})
        called = _name(file, profile, source) if name is None else name
        if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
            raise UserError(f"--name {name}: letters, digits and . _ + - only; it becomes a folder")
        experiment = cls(file, called, tuple(layers), profile, Path(runs), Path(results))
        _ = experiment.settings  # a mistake in the file is told here
        return experiment

    @cached_property
    def settings(self) -> Settings:
        """All settings, with profile and overrides applied."""
        return files.load(self.file, self.profile, self.overrides)

    def plan(self, regime: str = "") -> TimeEstimate | None:
        """Say what `run` would compute and how long that would take.

        Parameters
        ----------
        regime : str, optional
            A label regime of the file instead of its budget.

        Returns
        -------
        TimeEstimate or None
            The time that is needed; None where nothing is left to do, or where the features of a frozen backbone have
            to be computed before anything can be planned.
        """
        settings = self._settings_of(regime)
        results = report_folder(self.results / self.name / regime, self.file)
        dataset = load_and_describe(settings)
        if count := missing_features(settings, dataset):
            print(f"to do     features of {count:,} images and varied copies first; with them the rest can be planned")
            return None
        workspace = open_run(self.name, settings, dataset, self.runs / self.name / regime, regime)
        return self._announce(workspace, results)

    def run(self, regime: str = "") -> Result:
        """Compute every arm and seed that is not there yet, and write the report.

        A run that was stopped goes on where it was.

        Parameters
        ----------
        regime : str, optional
            A label regime of the file instead of its budget.

        Returns
        -------
        Result
            Where the run's folder and the report are.

        Raises
        ------
        UserError
            Where the settings do not fit the data, or the folders hold something else.
        """
        settings = self._settings_of(regime)
        results = report_folder(self.results / self.name / regime, self.file)
        dataset = load_and_describe(settings)
        workspace = open_run(self.name, settings, dataset, self.runs / self.name / regime, regime)
        estimate = self._announce(workspace, results)
        if estimate is None:
            print("finished  every run was there already; only the report is written anew")
        else:
            note_commit(workspace.folder)
            sweep.run_all(workspace, print, estimate)
        with Working("writing the report"):
            page = write_report(workspace.folder, results, radiographs_of(workspace))
            text = comparison_text(load_finished(workspace.folder))
        print(text)
        say_pages(page, workspace.folder)
        return Result(workspace.folder, page)

    def compare(self, regime: str = "") -> pd.DataFrame:
        """Every arm's rounds against the fully labelled baseline and against random, from the run's records.

        Parameters
        ----------
        regime : str, optional
            A label regime of the file instead of its budget.

        Returns
        -------
        DataFrame
            One row an arm and round: labels, accuracy, macro_f1 and f1 (of the target class), gain_baseline and
            gain_random (differences of f1 within a seed), means over seeds with `_sd` beside them; shares in 0..1.

        Raises
        ------
        UserError
            Where nothing has been run.
        """
        finished = load_finished(self.runs / self.name / regime)
        return per_round(finished, finished.target)

    def _settings_of(self, regime: str) -> Settings:
        """With the budget of a regime; UserError where there is nothing to compare."""
        check_arms(self.file, self.settings)
        return self.settings.in_regime(regime) if regime else self.settings

    def _announce(self, workspace: Workspace, results: Path) -> TimeEstimate | None:
        """Say what is to be done; None where nothing is. UserError where the report would go over another one."""
        must_be_about(results, workspace.data_card.fingerprint, provenance.command())
        settings, many = workspace.settings, len(workspace.train_index)
        if warning := uneven(settings.train, seed_size(settings.budget, many), many):
            print(f"warning   {warning}")
        return sweep.announce(workspace, print)


def _name(file: Path, profile: str | None, source: Source | None) -> str:
    """Made of the experiment file, the profiles and the data set."""
    data = "" if source is None else source.short_name()
    return "-".join(part for part in (file.stem, (profile or "").replace(",", "-"), data) if part)
