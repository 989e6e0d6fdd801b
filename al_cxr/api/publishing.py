"""From the page of a run to what is kept of it under version control."""

from __future__ import annotations

from pathlib import Path

from al_cxr.comparison.baselines import RECORD as BASELINES
from al_cxr.comparison.baselines import BaselinesRecord
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord, read
from al_cxr.report import published
from al_cxr.report.published import PUBLISHED
from al_cxr.report.published_index import write_published_index


def publish(run: str, results: Path) -> None:
    """`al-cxr publish`: the published form of a page, and the table of all published pages."""
    name, page = find_page(run, results)
    print(f"published {published.publish(page, results / PUBLISHED / name)}")
    print(f"index     {write_published_index(results)}")


def find_page(run: str, results: Path) -> tuple[str, Path]:
    """The name of a page and its folder: named as a run's folder, as a page's folder, or by the name of either.

    UserError where there is no page.
    """
    folder = Path(run)
    if (folder / BASELINES).is_file():
        name = read(folder / BASELINES, BaselinesRecord).name
    elif (folder / "experiment.json").is_file():
        record = read(folder / "experiment.json", ExperimentRecord)
        name = "/".join(filter(None, (record.name, record.regime)))
    elif (folder / "search.json").is_file():
        name = folder.resolve().name
    elif (folder / "README.md").is_file():
        inside = folder.resolve().is_relative_to(results.resolve())
        return (folder.resolve().relative_to(results.resolve()).as_posix() if inside else folder.resolve().name), folder
    else:
        name = run
    page = results / name
    if not page.resolve().is_relative_to(results.resolve()) or not (page / "README.md").is_file():
        raise UserError(
            f"{run}: there is no page of it in {results}; name a run or its page, for example tb_entropy, and write "
            "the page of a run with `al-cxr report RUN`"
        )
    return name, page
