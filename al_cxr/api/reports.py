"""The pages of finished runs, from their records alone: no network, no image, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from al_cxr.comparison.baselines import RECORD as BASELINES
from al_cxr.comparison.baselines import BaselinesRecord
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.finished import load as load_finished
from al_cxr.core.errors import UserError
from al_cxr.core.progress import Working
from al_cxr.core.records import read
from al_cxr.report.baseline import write_baseline_report
from al_cxr.report.experiment import write_report
from al_cxr.report.index import write_index
from al_cxr.report.search import write_search_report
from al_cxr.report.terminal import comparison_text


def compare(folder: Path, results: Path) -> None:
    """`al-cxr compare`: every round against the baseline and against random, from the records alone."""
    finished = load_finished(folder)
    print(comparison_text(finished))
    report([folder], results)


def report(folders: Sequence[Path], results: Path) -> None:
    """`al-cxr report`: the pages of run folders from their records alone, and an index where there are several."""
    pages: dict[Path, Finished] = {}
    tables: set[Path] = set()
    for folder in folders:
        if table := next((f for f in (folder, folder.parent) if (f / BASELINES).exists()), None):
            if table not in tables:
                tables.add(table)
                with Working(f"writing the report of {table}"):
                    page = write_baseline_report(table, results / read(table / BASELINES, BaselinesRecord).name)
                say_pages(page, table)
            continue
        if (folder / "search.json").exists():
            print(f"report    {write_search_report(folder, results / folder.name)}")
            continue
        finished = load_finished(folder)
        name, regime = finished.experiment.name, finished.experiment.regime
        for part in filter(None, (name, regime)):
            if Path(part).name != part or part == "..":
                where = folder / "experiment.json"
                raise UserError(f"{where}: {part!r} is not the name of a folder; the record was edited: put it back")
        target = results / name / regime
        if target / "README.md" in pages:
            raise UserError(f"{folder}: another run named here is called {name} too, and both would go to {target}")
        with Working(f"writing the report of {folder}"):
            page = write_report(folder, target)
        pages[page] = finished
        say_pages(page, folder)
    if len(pages) > 1:
        index = write_index(results, pages)
        print(f"index     {index}, {index.with_suffix('.html')}")


def say_pages(page: Path, run_folder: Path) -> None:
    """Where a report went, and beside the run the one that shows its radiographs."""
    print(f"report    {page}")
    for html in (page.with_name("report.html"), run_folder / "report.html"):
        if html.exists():
            print(f"          {html}")
