"""The command line: every command, its arguments and their help."""

from __future__ import annotations

import argparse
from pathlib import Path

import al_cxr
from al_cxr.cli import calls

DEFAULT_EXPERIMENT = "experiments/tb_entropy.yaml"

EXAMPLES = """\
examples:
  al-cxr run experiments/tb_entropy.yaml                          the active-learning experiment, tables and figures
  al-cxr run experiments/tb_entropy.yaml --data my_images.csv     the same on your own radiographs
  al-cxr baseline --arch cnn                                      one fully labelled model
  al-cxr baseline --arch all experiments/pneumonia.yaml           one table of all architectures
  al-cxr baseline experiments/transfer.yaml --folds 5             cross-validation: every image tested on once
  al-cxr search experiments/cxr3_features.yaml                    hyper-parameters, chosen on validation data
  al-cxr compare runs/tb_entropy                                  every round against the cross-entropy baseline
  al-cxr report runs/tb_entropy                                   its page again: results/tb_entropy/report.html
  al-cxr evaluate runs/tb_entropy --data other_hospital.csv       trained models, or bundles, on another data set
  al-cxr bundle runs/tb_entropy/baseline my_model                 a trained model that loads without its experiment
  al-cxr predict my_model my_images/                              its answers to any folder of images, as a CSV
  al-cxr adapt my_model their_images/ their_model                 fitted to another hospital's images; test it there
  al-cxr explain my_model image.png                               where it looked
  al-cxr data audit my_images.csv                                 what is in a data set, and what is wrong with it

Research software: not a medical device, not for diagnosis."""


def parser() -> argparse.ArgumentParser:
    """Of the whole command line; `call` of what it parses is the function that takes it."""
    formatter = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        "al-cxr", description=(al_cxr.__doc__ or "").strip(), epilog=EXAMPLES, formatter_class=formatter
    )
    top.add_argument("--version", action="version", version=f"al-cxr {al_cxr.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run an active-learning experiment: every arm, every seed, tables, figures")
    run.add_argument("experiment", type=Path, help="the experiment file (YAML)")
    run.add_argument(
        "--regime", help="label regimes of the file instead of its budget, with commas between them, or all"
    )
    run.add_argument("--plan", action="store_true", help="print what would be done and how long it takes, then stop")
    _settings_options(run)
    run.set_defaults(call=calls.run)

    baseline = commands.add_parser("baseline", help="train fully labelled models with the experiment's own trainer")
    baseline.add_argument(
        "experiment", type=Path, nargs="?", default=Path(DEFAULT_EXPERIMENT), help="(YAML) %(default)s"
    )
    baseline.add_argument(
        "--arch", help="architecture or one of baseline.models, several with commas, or all; the YAML's own"
    )
    baseline.add_argument("--folds", type=int, help="cross-validation: test every image once, in so many folds")
    _settings_options(baseline)
    baseline.set_defaults(call=calls.baseline)

    folds = commands.add_parser("folds", help="one page over cross-validations of baseline --folds, also all as one")
    folds.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="a run folder without its -fold1ofK, e.g. runs/baseline-transfer",
    )
    folds.add_argument("--out", type=Path, required=True, help="folder of the page")
    folds.set_defaults(call=calls.folds)

    search = commands.add_parser("search", help="choose hyper-parameters on validation data, with a stated budget")
    search.add_argument("experiment", type=Path, help="the experiment file (YAML), with a section search")
    search.add_argument("--trials", type=int, default=None, help="settings that are tried; the YAML's own")
    search.add_argument("--seconds", type=float, default=None, help="begin no trial after so many, over all starts")
    _settings_options(search)
    search.set_defaults(call=calls.search)

    compare = commands.add_parser("compare", help="compare a run's arms with its baseline; rewrites the tables")
    compare.add_argument("run", type=Path, help="a run folder, e.g. runs/tb_entropy")
    compare.add_argument("--results", type=Path, default=Path("results"), help="where reports go (%(default)s)")
    compare.set_defaults(call=calls.compare)

    report = commands.add_parser("report", help="write the reports of finished runs anew, from their records alone")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run folder, e.g. runs/tb_entropy")
    report.add_argument("--results", type=Path, default=Path("results"), help="where reports go (%(default)s)")
    report.set_defaults(call=calls.report)

    evaluate = commands.add_parser("evaluate", help="trained models on another data set (external test)")
    evaluate.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="a run folder, or an arm, a seed or a fit below it (several: also as one), or a bundle",
    )
    evaluate.add_argument("--data", required=True, help="folder, CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER]")
    _files_options(evaluate, patients=True)
    evaluate.add_argument("--out", type=Path, default=None, help="where to write; RUN/evaluations/DATA unless given")
    evaluate.add_argument("--attribution", default="", help="who made the images, printed in the report")
    evaluate.add_argument("--target", help="class that thresholds and slices are about; the run's own unless given")
    _goal_options(evaluate)
    evaluate.add_argument("--prevalence", help="of the target among the screened, with commas (0.005,0.02,0.1)")
    evaluate.add_argument(
        "--adapt",
        action="store_true",
        help="also with the heads adapted to these images, without their labels: better or worse",
    )
    evaluate.set_defaults(call=calls.evaluate)

    bundle = commands.add_parser("bundle", help="a trained model as a folder that loads without its experiment")
    bundle.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="a fit, a seed of an arm or a baseline, or all its seeds (an ensemble); several: all as one",
    )
    bundle.add_argument("out", type=Path, help="the new folder")
    _goal_options(bundle)
    bundle.add_argument(
        "--coverage", type=float, default=0.9, help="share of validation that must be answered (%(default)s)"
    )
    bundle.set_defaults(call=calls.bundle)

    model_help = "a bundle, or a fit, seed, arm or baseline of a run"
    adapt = commands.add_parser(
        "adapt",
        help="a trained model fitted to another hospital's images without labels: better or worse, test it there",
        description="A new bundle whose heads standardise by the images of another hospital, which need no labels. It "
        "may be better or worse there than the model as trained: it raised some models' figures and lowered those of "
        "others, the best among them. Only labelled images from there can tell, so name both bundles to `al-cxr "
        "evaluate`. About as many of the images have to show the target as in training.",
    )
    adapt.add_argument("model", type=Path, help=model_help)
    adapt.add_argument("images", type=Path, help="a folder, searched whole, or a CSV with a column path")
    adapt.add_argument("out", type=Path, help="the new bundle")
    _files_options(adapt)
    adapt.set_defaults(call=calls.adapt)

    predict = commands.add_parser(
        "predict",
        help="a trained model's answers to images without labels, as a CSV",
        description="A row an image. `p_CLASS` are the calibrated probabilities. `predicted` is the one decision: the "
        "target where its probability reaches the bundle's threshold, else the most probable of the other classes; "
        "without a threshold the most probable class (`decided_by` says which). `is_TARGET` is 1 where `predicted` is "
        "the target, 0 elsewhere, empty without a threshold. `abstain` is 1 where no probability is high enough to "
        "answer. `entropy` and `mutual_information` (nats) are measures of doubt.",
    )
    predict.add_argument("model", type=Path, help=model_help)
    predict.add_argument("images", type=Path, help="a folder, searched whole, or a CSV with a column path")
    predict.add_argument("--out", type=Path, default=Path("predictions.csv"), help="the CSV (%(default)s)")
    _files_options(predict)
    predict.set_defaults(call=calls.predict)

    explain = commands.add_parser("explain", help="where a trained model looked, drawn over the images")
    explain.add_argument("model", type=Path, help=model_help)
    explain.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files")
    explain.add_argument("--out", type=Path, default=Path("explanations"), help="folder of the PNGs (%(default)s)")
    explain.add_argument("--class", dest="label", help="class that is explained; the target unless given")
    explain.set_defaults(call=calls.explain)

    data = commands.add_parser("data", help="look at a data set, check it, fetch it")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    audit = actions.add_parser("audit", help="counts, leaks, duplicates, unreadable files, shortcuts; a report")
    show = actions.add_parser("show", help="a contact sheet of its images")
    for action in (audit, show):
        action.add_argument("data", help="folder, CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER]")
        _files_options(action, patients=True)
        action.add_argument("--out", type=Path, default=Path("runs/data"), help="where to write (%(default)s)")
    show.add_argument("--per-class", type=int, default=8, help="images a class (%(default)s)")
    show.add_argument("--seed", type=int, default=0, help="which images (%(default)s)")
    show.add_argument("--split", choices=("train", "val", "test"), help="only this split")
    show.add_argument("--class", dest="label", help="only this class")
    audit.set_defaults(call=calls.audit)
    show.set_defaults(call=calls.show)
    fetch = actions.add_parser("fetch", help="download a public data set; nothing is fetched unless asked for here")
    fetch.add_argument("what", help="kaggle[:OWNER/NAME] or medmnist:FLAG")
    fetch.add_argument("--out", type=Path, default=None, help="folder; data/chest-xray or data/medmnist")
    fetch.add_argument(
        "--size", type=int, default=64, choices=(28, 64, 128, 224), help="medmnist: pixels (%(default)s)"
    )
    fetch.set_defaults(call=calls.fetch)
    return top


def _settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="folder, CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER] instead of the YAML's")
    _files_options(parser, patients=True)
    parser.add_argument(
        "--profile", help="a profile of the experiment file, e.g. paper; of several (a,b) each lies on those before it"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.steps=200; repeatable"
    )
    parser.add_argument("--name", help="of the run folder; made from the file, --profile and --data unless given")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs go (%(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where reports go (%(default)s)")


def _files_options(parser: argparse.ArgumentParser, patients: bool = False) -> None:
    """Where the files of a data set may lie, and with `patients` what folders inside class folders are."""
    parser.add_argument(
        "--root", type=Path, help="folder that the paths of a CSV start from; the CSV's own unless given"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="read symbolic links that lead out of the folder (DVC, git-annex)"
    )
    if patients:
        parser.add_argument(
            "--patient-folders", action="store_true", help="each class folder holds a folder a patient, named by the id"
        )


def _goal_options(parser: argparse.ArgumentParser) -> None:
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--sensitivity", type=float, help="of the target on validation, for the threshold (0.9)")
    goal.add_argument("--specificity", type=float, help="the same, of everything else")
    goal.add_argument("--best", choices=("f1", "accuracy"), help="the threshold with the target's best figure there")
