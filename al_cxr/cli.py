"""The command line: parse, call, print. No logic."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_cxr import __version__
from al_cxr.errors import UserError

DEFAULT_EXPERIMENT = "experiments/tb_entropy.yaml"

EXAMPLES = """\
examples:
  al-cxr run experiments/tb_entropy.yaml                          the active-learning experiment, tables and figures
  al-cxr run experiments/tb_entropy.yaml --data my_images.csv     the same on your own radiographs
  al-cxr baseline --arch cnn                                      one fully labelled model
  al-cxr search experiments/cxr3_features.yaml                    hyper-parameters, chosen on validation data
  al-cxr compare runs/tb_entropy                                  every round against the cross-entropy baseline
  al-cxr report runs/tb_entropy                                   its page again: results/tb_entropy/report.html
  al-cxr evaluate runs/tb_entropy --data other_hospital.csv       trained models on another data set
  al-cxr bundle runs/tb_entropy/baseline my_model                 a trained model that loads without its experiment
  al-cxr predict my_model my_images/                              its answers to any folder of images, as a CSV
  al-cxr explain my_model image.png                               where it looked
  al-cxr data audit my_images.csv                                 what is in a data set, and what is wrong with it

Research software: not a medical device, not for diagnosis."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 2 a mistake in what was given, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        options.call(options)
    except UserError as error:
        print(f"al-cxr: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nal-cxr: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (as in `al-cxr ... | head`); there is nobody left to tell.
        sys.stderr.close()
        return 141
    return 0


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("al-cxr", description=_first_line(), epilog=EXAMPLES, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"al-cxr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run an active-learning experiment: every arm, every seed, tables, figures")
    run.add_argument("experiment", type=Path, help="the experiment file (YAML)")
    run.add_argument(
        "--regime", help="label regimes of the file instead of its budget, with commas between them, or all"
    )
    run.add_argument("--plan", action="store_true", help="print what would be done and how long it takes, then stop")
    _settings_options(run)
    run.set_defaults(call=_run)

    baseline = commands.add_parser("baseline", help="train fully labelled models with the experiment's own trainer")
    baseline.add_argument(
        "experiment", type=Path, nargs="?", default=Path(DEFAULT_EXPERIMENT), help="(YAML) %(default)s"
    )
    baseline.add_argument("--arch", default=None, help="architecture, several with commas, or all; the YAML's own")
    _settings_options(baseline)
    baseline.set_defaults(call=_baseline)

    search = commands.add_parser("search", help="choose hyper-parameters on validation data, with a stated budget")
    search.add_argument("experiment", type=Path, help="the experiment file (YAML), with a section search")
    search.add_argument("--trials", type=int, default=None, help="settings that are tried; the YAML's own")
    search.add_argument("--seconds", type=float, default=None, help="begin no trial after so many, over all starts")
    _settings_options(search)
    search.set_defaults(call=_search)

    compare = commands.add_parser("compare", help="compare a run's arms with its baseline; rewrites the tables")
    compare.add_argument("run", type=Path, help="a run folder, e.g. runs/tb_entropy")
    compare.add_argument("--results", type=Path, default=Path("results"), help="where reports go (%(default)s)")
    compare.set_defaults(call=_compare)

    report = commands.add_parser("report", help="write the reports of finished runs anew, from their records alone")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run folder, e.g. runs/tb_entropy")
    report.add_argument("--results", type=Path, default=Path("results"), help="where reports go (%(default)s)")
    report.set_defaults(call=_report)

    evaluate = commands.add_parser("evaluate", help="trained models on another data set (external test)")
    evaluate.add_argument("run", type=Path, help="a run folder, or an arm, a seed or a fit below it")
    evaluate.add_argument("--data", required=True, help="folder, CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER]")
    evaluate.add_argument("--out", type=Path, default=None, help="where to write; RUN/evaluations/DATA unless given")
    evaluate.add_argument("--attribution", default="", help="who made the images, printed in the report")
    evaluate.add_argument("--target", help="class that thresholds and slices are about; the run's own unless given")
    goal = evaluate.add_mutually_exclusive_group()
    goal.add_argument("--sensitivity", type=float, help="of the target on validation, for the threshold (0.9)")
    goal.add_argument("--specificity", type=float, help="the same, of everything else")
    evaluate.add_argument("--prevalence", help="of the target among the screened, with commas (0.005,0.02,0.1)")
    evaluate.set_defaults(call=_evaluate)

    bundle = commands.add_parser("bundle", help="a trained model as a folder that loads without its experiment")
    bundle.add_argument("models", type=Path, help="a fit, an arm's seed, or a whole arm or baseline (an ensemble)")
    bundle.add_argument("out", type=Path, help="the new folder")
    bundle.add_argument(
        "--sensitivity", type=float, default=0.9, help="of the target on validation, for the threshold (%(default)s)"
    )
    bundle.add_argument(
        "--coverage", type=float, default=0.9, help="share of validation that must be answered (%(default)s)"
    )
    bundle.set_defaults(call=_bundle)

    model_help = "a bundle, or a fit, seed, arm or baseline of a run"
    predict = commands.add_parser("predict", help="a trained model's answers to images without labels, as a CSV")
    predict.add_argument("model", type=Path, help=model_help)
    predict.add_argument("images", type=Path, help="a folder, searched whole, or a CSV with a column path")
    predict.add_argument("--out", type=Path, default=Path("predictions.csv"), help="the CSV (%(default)s)")
    predict.set_defaults(call=_predict)

    explain = commands.add_parser("explain", help="where a trained model looked, drawn over the images")
    explain.add_argument("model", type=Path, help=model_help)
    explain.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files")
    explain.add_argument("--out", type=Path, default=Path("explanations"), help="folder of the PNGs (%(default)s)")
    explain.add_argument("--class", dest="label", help="class that is explained; the target unless given")
    explain.set_defaults(call=_explain)

    data = commands.add_parser("data", help="look at a data set, check it, fetch it")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    audit = actions.add_parser("audit", help="counts, leaks, duplicates, unreadable files, shortcuts; a report")
    show = actions.add_parser("show", help="a contact sheet of its images")
    for action in (audit, show):
        action.add_argument("data", help="folder, CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER]")
        action.add_argument("--out", type=Path, default=Path("runs/data"), help="where to write (%(default)s)")
    show.add_argument("--per-class", type=int, default=8, help="images a class (%(default)s)")
    show.add_argument("--seed", type=int, default=0, help="which images (%(default)s)")
    show.add_argument("--split", choices=("train", "val", "test"), help="only this split")
    show.add_argument("--class", dest="label", help="only this class")
    audit.set_defaults(call=_audit)
    show.set_defaults(call=_show)
    fetch = actions.add_parser("fetch", help="download a public data set; nothing is fetched unless asked for here")
    fetch.add_argument("what", help="kaggle[:OWNER/NAME] or medmnist:FLAG")
    fetch.add_argument("--out", type=Path, default=None, help="folder; data/chest-xray or data/medmnist")
    fetch.add_argument(
        "--size", type=int, default=64, choices=(28, 64, 128, 224), help="medmnist: pixels (%(default)s)"
    )
    fetch.set_defaults(call=_fetch)
    return parser


def _settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="folder, CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER] instead of the YAML's")
    parser.add_argument("--profile", help="a profile of the experiment file, e.g. paper")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.epochs=3; repeatable"
    )
    parser.add_argument("--name", help="of the run folder; made from the file, --profile and --data unless given")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs go (%(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where reports go (%(default)s)")


def _first_line() -> str:
    import al_cxr

    return (al_cxr.__doc__ or "").strip()


# Each command imports what it needs, so that --help and a mistyped option answer at once.
def _run(options: argparse.Namespace) -> None:
    from al_cxr.commands import experiments

    experiments.run(_request(options), plan_only=options.plan)


def _baseline(options: argparse.Namespace) -> None:
    from al_cxr.commands import experiments

    experiments.baseline(_request(options), options.arch)


def _search(options: argparse.Namespace) -> None:
    from al_cxr.commands import search

    search.search(_request(options), options.trials, options.seconds)


def _compare(options: argparse.Namespace) -> None:
    from al_cxr.commands import experiments

    experiments.compare(options.run, options.results)


def _report(options: argparse.Namespace) -> None:
    from al_cxr.commands import experiments

    experiments.report(options.runs, options.results)


def _evaluate(options: argparse.Namespace) -> None:
    from al_cxr.commands import data

    o = options
    data.evaluate(o.run, o.data, o.out, o.attribution, o.target, o.sensitivity, o.specificity, o.prevalence)


def _bundle(options: argparse.Namespace) -> None:
    from al_cxr.commands import models

    models.bundle(options.models, options.out, options.sensitivity, options.coverage)


def _predict(options: argparse.Namespace) -> None:
    from al_cxr.commands import models

    models.predict(options.model, options.images, options.out)


def _explain(options: argparse.Namespace) -> None:
    from al_cxr.commands import models

    models.explain(options.model, options.images, options.out, options.label)


def _audit(options: argparse.Namespace) -> None:
    from al_cxr.commands import data

    data.audit(options.data, options.out)


def _show(options: argparse.Namespace) -> None:
    from al_cxr.commands import data

    o = options
    data.show(o.data, o.per_class, o.seed, o.split, o.label, o.out)


def _fetch(options: argparse.Namespace) -> None:
    from al_cxr.commands import data

    data.fetch(options.what, options.out, options.size)


def _request(options: argparse.Namespace) -> Any:
    from al_cxr.commands.experiments import Request

    return Request(
        experiment=options.experiment,
        data=options.data,
        profile=options.profile,
        overrides=tuple(options.set),
        name=options.name,
        runs=options.runs,
        results=options.results,
        regime=getattr(options, "regime", None),
    )


if __name__ == "__main__":
    sys.exit(main())
