"""The few lines of a comparison that belong on a terminal."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from al_cxr.comparison.compare import per_round
from al_cxr.comparison.finished import Finished
from al_cxr.report.asking import stops
from al_cxr.report.headline import few, headline
from al_cxr.report.origin import stamp_of
from al_cxr.report.rounds import gains
from al_cxr.report.summary import factorial
from al_cxr.report.training import training_warnings

WIDE = ("share", "best")
"""Columns that a terminal has no room for, beside those of every seed."""


def comparison_text(finished: Finished) -> str:
    """Target F1 of each arm and round, its gains over the fully labelled baseline and over random, the 2 x 2 where the
    arms allow it, and what all of it comes to; what is missing comes first."""
    mark = stamp_of(finished.experiment.data, finished.settings.seeds, bool(finished.gaps))
    table = gains(finished, per_round(finished, finished.target))
    narrow = replace(table, columns=tuple(c for c in table.columns if c.value not in WIDE and c.form != "seeds"))
    gaps = [f"not finished: {gap}" for gap in finished.gaps]
    warned = [*gaps, *training_warnings(finished), *few(finished), *stops(finished)]
    parts = ["\n".join(f"warning   {said}" for said in warned), table.title, narrow.grid()]
    parts += [f"{t.title}\n\n{t.grid()}" for t in factorial(finished)]
    if any(len(rounds) > 1 for rounds in finished.rounds.values()):
        parts.append("\n".join(textwrap.fill(said, 110, subsequent_indent="  ") for said in headline(finished)))
    parts += ["F1 in %, differences in points within a seed: mean ± standard deviation over seeds.", mark]
    return "\n\n".join(part for part in parts if part)
