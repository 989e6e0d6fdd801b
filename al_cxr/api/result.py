"""What is left of a finished run: a folder, a report and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Result:
    """Where a finished run is.

    Attributes
    ----------
    folder : Path
        The run: its records and its trained models.
    page : Path
        The report, README.md; `tables/`, `figures/` and report.html lie beside it.
    """

    folder: Path
    page: Path

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The report's tables, by name."""
        return {path.stem: pd.read_csv(path) for path in sorted(self.page.parent.glob("tables/*.csv"))}
