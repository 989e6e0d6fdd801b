"""Begin to label an archive of radiographs.

The archive is looked at, and a share of its patients is set aside to be tested on. Then a frozen network looks at every
image once; questions can be asked meanwhile, and a start that was stopped goes on with `al-cxr label scan`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import al_cxr
from al_cxr.cli.label.options import compute_features, say_scan
from al_cxr.core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "archive", help="a folder of images or DICOM files, a CSV with a column path, a DICOMDIR or phantom:COUNT"
    )
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the new folder of the project")
    parser.add_argument("--classes", required=True, help="what an image can show, e.g. normal,tuberculosis")
    parser.add_argument("--target", help="the class that is looked for (default: the last of --classes)")
    parser.add_argument("--start", type=Path, help="a bundle that asks the first questions, e.g. models/tb")
    parser.add_argument("--strategy", help="how images to learn from are chosen (default: entropy)")
    parser.add_argument("--goal", metavar="FIGURE=VALUE", help="what is wanted, e.g. sensitivity=0.9 (accuracy=0.9)")
    parser.add_argument("--audit", type=float, help="share of the patients that are only tested on (default: 0.2)")
    parser.add_argument("--seed", type=int, help="decides all that is left to chance (default: 0)")
    parser.add_argument("--root", type=Path, help="folder that the paths in a CSV start from (default: the CSV's own)")
    parser.add_argument("--follow-links", action="store_true", help="also read symbolic links that lead out of it")
    parser.add_argument("--patient-folders", action="store_true", help="the folders of the archive are patients")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting of project.yaml, e.g. head.every=10; may be repeated",
    )
    parser.add_argument(
        "--questions-only", action="store_true", help="do not look at the images yet; the first questions are random"
    )


def call(options: argparse.Namespace) -> None:
    project = begin(options)
    print(f"next      al-cxr label ask {project.folder} -n 20 --out next.csv    (it can be asked right away)")
    if not options.questions_only:
        compute_features(project)
    project.close()


def begin(options: argparse.Namespace) -> al_cxr.LabellingProject:
    """The new project, with a word on what is in its archive."""
    classes = [name for name in options.classes.split(",") if name.strip()]
    if len(classes) < 2:
        raise UserError(f"--classes {options.classes}: name two or more with commas, e.g. normal,tuberculosis")
    project = al_cxr.LabellingProject.create(
        options.project, options.archive, classes, options.target, settings_of(options)
    )
    settings, aside_N = project.settings, project.streams.reserved_N
    say_scan(project)
    print(f"project   {project.folder} · {', '.join(settings.classes)} · looked for: {settings.target}")
    patients = len({p for p, aside in zip(project.archive.patients, aside_N, strict=True) if aside})
    print(
        f"audit     {int(aside_N.sum()):,} images of {patients:,} patients are set aside to be tested on; no model "
        "learns from them"
    )
    if aside_N.all() or not aside_N.any():
        what = (
            "learn from: no model will be trained" if aside_N.all() else "be tested on: no figure of it will be known"
        )
        print(f"warning   there is nothing to {what}; an archive of more patients is needed")
    return project


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as options; --set wins."""
    from al_cxr.config.files import merge, parse_override

    given: dict[str, Any] = {"archive": {"follow_links": options.follow_links}}
    given["archive"]["patient_folders"] = options.patient_folders
    if options.root is not None:
        given["archive"]["root"] = str(options.root.resolve())
    if options.start is not None:
        given["start"] = str(options.start.resolve())
    if options.strategy is not None:
        given["acquisition"] = {"strategy": options.strategy}
    if options.audit is not None:
        given["streams"] = {"audit": options.audit}
    if options.seed is not None:
        given["seed"] = options.seed
    if options.goal is not None:
        figure, equals, value = options.goal.partition("=")
        if not equals:
            raise UserError(f"--goal {options.goal}: write it as figure=value, e.g. sensitivity=0.9")
        given["goal"] = {"figure": figure, "at_least": value}
    for text in options.changes:
        given = merge(given, parse_override(text))
    return given
