"""How often the figures of a labelling project hold the truth, in simulated projects whose truth is known.

    python benchmarks/labelling_coverage.py --out results/benchmarks/labelling-coverage.md

Sequences are followed over 600 audit images and looked at 3, 30 and 300 times; beside them stands the exact interval of
a fixed number of images, which is not made for that. Certificates are handed out, or not, while the model changes after
every five audit images. Intervals for one look are looked at once. The projects are in labelling_worlds.py
and labelling_one_look.py beside this file. It takes some minutes of one core.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path

from labelling_one_look import Archive, Project, RandomArm, at_one_look, curve, powered_looked_at, readers
from labelling_worlds import LOOKS, Followed, areas, patients, right_certificates, shares, wrong_certificates

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.evaluation.certificate import exams, images_until_passed


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---:"] * len(header), *rows]
    for cells in rows:
        print(*cells, flush=True)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cells(found: Followed, names: list[str]) -> list[str]:
    wrong = [" / ".join(percent(found.wrong[name][i]) for i in range(len(LOOKS))) for name in names]
    return wrong + [percent(found.width[name]) for name in names]


def shares_table(runs: int) -> str:
    rows = []
    for size in (2000, 20_000):
        for share in (0.02, 0.1, 0.5, 0.8, 0.95):
            found = shares(share, size, runs)
            rows.append([f"{size:,}", percent(share), *cells(found, ["known", "unknown", "fixed"])])
    header = ["N", "true %", "N known: wrong", "N unknown: wrong", "fixed: wrong", "width", "width", "width, fixed"]
    return table(header, rows)


def areas_table(runs: int) -> str:
    rows = []
    for distance, auc in ((0.954, "0.75"), (1.812, "0.90"), (2.91, "0.98")):
        for share in (0.1, 0.5):
            rows.append([auc, percent(share), *cells(areas(distance, share, runs), ["blocks", "fixed"])])
    return table(["AUC", "ill %", "sequence: wrong", "DeLong: wrong", "width", "width, DeLong"], rows)


def wrong_table(runs: int) -> str:
    rows = []
    for target, most in ((0.8, 300), (0.9, 300), (0.9, 1000), (0.95, 1000)):
        for kept in (0.0, 0.9, 1.0):
            found = wrong_certificates(target, most, kept, runs)
            rows.append([percent(target), f"{most:,}", percent(kept), *map(percent, found.values())])
    return table(["target %", "audit", "answers kept %", *found], rows)


def right_table(runs: int) -> str:
    rows = []
    for target, truth in ((0.8, 0.9), (0.85, 0.9), (0.9, 0.95), (0.9, 0.98), (0.95, 0.98)):
        for most in (300, 1000):
            exam, exam_images, one, one_images = right_certificates(target, truth, most, runs)
            planned = images_until_passed(exams(target, most), truth)
            row = [percent(target), percent(truth), f"{most:,}", f"{planned}" if planned else "never", percent(exam)]
            rows.append([*row, f"{exam_images:.0f}", percent(one), f"{one_images:.0f}"])
    header = ["target %", "true %", "audit", "planned", "by exams %", "images", "by its sequence %", "images"]
    return table(header, rows)


def looked_once(runs: int) -> str:
    arm, rare, common = RandomArm(), Archive(0.05), Archive(0.2)
    projects: dict[str, tuple[Project, int]] = {
        "mean loss by LURE: 100 chosen of 3,000": (common.loss, runs),
        "sensitivity: 100 audited, 200 chosen; 20 % ill": (partial(common.rate, "sensitivity"), runs),
        "sensitivity: 100 audited, 200 chosen; 5 % ill": (partial(rare.rate, "sensitivity"), runs),
        "specificity: 100 audited, 200 chosen; 20 % ill": (partial(common.rate, "specificity"), runs),
        "prevalence by predictions: 200 audited; 20 %": (partial(common.share, False), runs),
        "prevalence by predictions: 200 audited; 5 %": (partial(rare.share, False), runs),
        "prevalence by predictions: 200 chosen; 20 %": (partial(common.share, True), runs),
        "prevalence by predictions: 200 chosen; 5 %": (partial(rare.share, True), runs),
        "kappa of two readers: 120 images": (partial(readers, "kappa"), runs),
        "AC1 of two readers: 120 images": (partial(readers, "ac1"), runs),
        "positive agreement: 120 images": (partial(readers, "positive"), runs),
        "gain over random: 40 labels, 100 audited": (lambda run: arm.compare(100), runs // 2),
        "gain over random: 40 labels, 400 audited": (lambda run: arm.compare(400), runs // 2),
        "labels needed: 400 audited": (partial(curve, 400), runs // 2),
        "labels needed: 1,500 audited": (partial(curve, 1500), runs // 2),
    }
    rows = []
    for name, (project, count) in projects.items():
        told, held, width = at_one_look(project, count)
        rows.append([name, percent(told), percent(held), f"{width:.0f}" if "needed" in name else percent(width)])
    return table(["figure", "given %", "holds %", "width"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="coverage of the figures of a labelling project, by simulation")
    parser.add_argument("--out", type=Path, help="write the tables there, as markdown")
    parser.add_argument("--runs", type=int, default=400, help="simulated projects a row")
    options = parser.parse_args()
    runs = options.runs
    stamp = f"{provenance.commit()}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
    by_images = patients(4, runs)
    parts = [
        "# How often the figures of a labelling project hold the truth",
        "    " + shlex.join(["python", "benchmarks/labelling_coverage.py", *sys.argv[1:]]),
        f"{runs} simulated projects a row, half of them in the last four of the last table; 95 % is aimed at. Figures "
        "are in %. *Wrong* is the share of projects in which the interval did not hold the truth at *any* of 3 / 30 / "
        "300 looks while 600 audit images came in: 5 % is allowed. Width is that of the last interval. By chance a 5 % "
        f"moves by {100 * 2 * (0.05 * 0.95 / runs) ** 0.5:.1f} points. "
        "[What the figures mean](../../docs/concepts/labelling-figures.md).",
        "## Shares: prevalence, accuracy, sensitivity, specificity",
        "An archive of N images, of which that share counts. The sequence that knows N is that of the prevalence, the "
        "one that does not that of all others. *fixed* is Clopper and Pearson's exact interval, looked at again and "
        "again.",
        shares_table(runs),
        "## Area under the ROC curve",
        "By blocks of images with both kinds, beside DeLong's interval looked at again and again.",
        areas_table(runs),
        "## Certificates while the model changes",
        "Every certificate here is wrong: all models answer rightly just less often than the target. A new one comes "
        "after every five audit images, which keeps that share of the answers of the one before. Shares of projects "
        "that hand out any certificate: by exams (in use; 5 % is allowed), by each model's own sequence looked at each "
        "time, and by the one-sided exact bound looked at each time.",
        wrong_table(runs),
        "## Certificates of a model that deserves one",
        "One model all the time. At how many audit images the plan is 80 % sure, how many projects get the certificate "
        "by exams and the median audit images it took them (inf: most did not), and the same by the "
        "lower bound of this one model's sequence, which would be allowed only if the model never changed.",
        right_table(runs),
        "## Several images a patient",
        "Four images each of 150 patients, about as hard as each other; the accuracy's sequence is ever wrong in "
        f"{percent(by_images['every image'])} % of projects if every image counts, in "
        f"{percent(by_images['one a patient'])} % if one a patient does, as in use.",
        "## Intervals for one look",
        "Looked at once. *Given* is how often there was an interval at all: what the data cannot say is not said. "
        "Labels needed are labels; an end that was left open counts as holding; width is the median. "
        f"Looked at 30 times instead of once, the prevalence by predictions is wrong in "
        f"{percent(powered_looked_at(30, runs))} % of projects: these intervals are for one planned look.",
        looked_once(runs),
        stamp,
    ]
    if options.out is not None:
        write_atomically(options.out, ("\n\n".join(parts) + "\n").encode())


if __name__ == "__main__":
    main()
