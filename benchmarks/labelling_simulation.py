r"""Labelling projects on real radiographs, read by an oracle: what choosing saves, what an audit costs and buys, and
how often the intervals hold.

    python benchmarks/labelling_simulation.py --start models/children

It needs cxr3.csv and shenzhen.csv (--data). The bundle is of other patients than those of the archives: the rows of
cxr3.csv whose source is kermany, children, in a file children.csv, and

    al-cxr baseline shenzhen_features --data children.csv --root data/cxr --set data.target=pneumonia --set seeds=[0] \
        --name children
    al-cxr bundle runs/baseline-children/efficientnet_lite0 models/children

Every project is a file in --records: what is there is not simulated again, so it may be stopped, and run in parts
(--only shenzhen) before the page is made of all.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from labelling_simulation_cases import CASES, Case, archive_of, arms_of, settings_of
from labelling_simulation_page import page

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.core.progress import Progress
from al_cxr.core.seeds import digest_text
from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.store import PixelStore, data_card
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.simulate import Seen, oracle_of, simulate
from al_cxr.labelling.simulated import look_table

FEWEST = 5
"""Projects of an arm that are shown."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/cxr"), help="folder of the manifests")
    parser.add_argument("--only", help="archives, with commas between (default: all)")
    parser.add_argument(
        "--start", default="", help="a bundle of another hospital that tells normal and pneumonia apart"
    )
    parser.add_argument("--seeds", type=int, default=10, help="projects of each arm; their seeds are 1, 2 ..")
    parser.add_argument("-n", type=int, default=300, help="answers of each project")
    parser.add_argument("--records", type=Path, default=Path("runs/labelling-simulation"))
    parser.add_argument("--page", action="store_true", help="simulate nothing: the page of the projects that are there")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/labelling-simulation.md"))
    options = parser.parse_args(arguments)
    chosen = [case for case in CASES if options.only is None or case.name in options.only.split(",")]
    looks = []
    for case in chosen:
        archive = archive_of(case, options.data, options.records)
        dataset = ManifestSource(path=str(archive), root=str(options.data)).read()
        facts = facts_of(dataset, 224)
        arms = {
            name: settings_of(case, arm, str(archive.resolve()), options.data.resolve())
            for name, arm in arms_of(case, options.start).items()
        }
        seeds = range(1, options.seeds + 1)
        table = simulated(case, dataset, arms, seeds, options.n, options.records, not options.page)
        projects = table.groupby("arm")["seed"].transform("nunique")
        looks.append(table[projects >= min(FEWEST, options.seeds)])
        looks[-1].attrs = facts
    command = shlex.join(["python", "benchmarks/labelling_simulation.py", *(sys.argv[1:] if arguments is None else [])])
    write_atomically(options.out, page(command, chosen, looks, options.start).encode())


def facts_of(dataset: Dataset, size: int) -> dict[str, str]:
    """What a page says of a data set."""
    card = data_card(dataset, PixelStore.open(dataset.images, size))
    patients = dataset.table["patient_id"].nunique()
    counts = ", ".join(f"{name} {int((dataset.labels_N == i).sum()):,}" for i, name in enumerate(dataset.classes))
    return {
        "name": card.name,
        "fingerprint": card.fingerprint,
        "images": f"{len(dataset.images):,} images of {patients:,} patients ({counts})",
    }


def simulated(
    case: Case,
    dataset: Dataset,
    arms: dict[str, ProjectSettings],
    seeds: Sequence[int],
    answers: int,
    records: Path,
    missing: bool,
) -> pd.DataFrame:
    """Every look of every project of a case, with the columns arm, seed and commit; those that are `missing` are
    simulated, or passed over."""
    tables: list[pd.DataFrame] = []
    seen: Seen | None = None
    oracle: dict[str, str] = {}
    with Progress(len(arms) * len(seeds) * answers, f"simulating {case.name}", "answers") as bar:
        for arm, settings in arms.items():
            for seed in seeds:
                facts = json.dumps([settings.model_dump(mode="json", exclude={"machine"}), seed, answers])
                file = (
                    records
                    / f"{case.name}-{arm.replace(', ', '-').replace(' ', '-')}-{seed}-{digest_text(facts)[:8]}.csv"
                )
                if not file.exists() and not missing:
                    continue
                if not file.exists():
                    oracle = oracle or oracle_of(dataset, list(case.classes))
                    # Looked at after each answer where the intervals are counted; elsewhere where they would be read.
                    every = 1 if arm == "entropy" else 10
                    once = [answers // 3, 2 * answers // 3, answers] if arm == "entropy" else []
                    run, seen = simulate(settings, oracle, seed, answers, 0.0, every, seen, bar.update, once)
                    table = look_table([run]).assign(arm=arm, commit=provenance.commit())
                    write_atomically(file, table.to_csv(index=False, lineterminator="\n").encode())
                else:
                    bar.update(answers)
                tables.append(pd.read_csv(file))
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    main()
