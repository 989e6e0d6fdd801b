"""How an experiment asked for labels, in words: options, Monte-Carlo passes, ensembles, and where an arm stopped."""

from __future__ import annotations

import numpy as np

from al_cxr.comparison.finished import Finished
from al_cxr.report.kit.prose import sentence


def arm_options(finished: Finished) -> dict[str, str]:
    """The arms whose strategy has other options than its defaults."""
    given = [f"{name} {arm.acquisition}" for name, arm in finished.settings.arms.items() if arm.options]
    return {"Options of the arms": ", ".join(given)} if given else {}


def passes(finished: Finished) -> dict[str, str]:
    """How the Monte-Carlo passes of the queries were computed, where there were any."""
    queries = [q for of_run in finished.queries.values() for q in of_run if q.passes]
    if not queries:
        return {}
    ways = list(dict.fromkeys(q.sampling for q in queries if q.sampling))
    raced = [q.mean_passes for q in queries if q.mean_passes is not None]
    mean = np.mean(raced) if raced else None
    return {"Monte-Carlo passes": sentence("experiment", "passes", count=queries[0].passes, raced=mean, ways=ways)}


def ensembles(finished: Finished) -> dict[str, str]:
    """How many networks the ensembles had that were asked, where there were any."""
    counts = {len(q.members) for of_run in finished.queries.values() for q in of_run if q.members}
    return {"Ensembles": sentence("experiment", "ensembles", count=max(counts))} if counts else {}


def head_scope(finished: Finished) -> list[str]:
    """That only the classifier's head was sampled, and how far the ranking is from that of all sites."""
    found = [q.head_agreement for queries in finished.queries.values() for q in queries if q.head_agreement is not None]
    return [sentence("experiment", "head", mean=np.mean(found), least=min(found))] if found else []


def stops(finished: Finished) -> list[str]:
    """Arms that a stopping rule ended: their last models stand for them to the end of the budget."""
    found = []
    for arm in finished.settings.arms:
        ended = {seed: record for (name, seed), record in finished.stopped.items() if name == arm}
        if ended:
            after = [f"{record.round} (seed {seed})" for seed, record in ended.items()]
            reason = next(iter(ended.values())).reason
            found.append(sentence("experiment", "stop", arm=arm, after=after, reason=reason))
    return found
