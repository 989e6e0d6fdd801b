"""The command line: every command, its arguments and their help."""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli import (
    adapt,
    baseline,
    bundle,
    compare,
    data,
    evaluate,
    explain,
    features,
    folds,
    init,
    label,
    predict,
    publish,
    report,
    run,
    search,
)
from al_cxr.cli.command import add_commands

COMMANDS = (
    run,
    baseline,
    folds,
    search,
    init,
    compare,
    report,
    publish,
    evaluate,
    bundle,
    adapt,
    predict,
    explain,
    features,
    data,
    label,
)

EXAMPLES = """\
examples:
  al-cxr run tb_entropy                                           the active-learning experiment, tables and figures
  al-cxr run tb_entropy --data my_images.csv                      the same on your own radiographs
  al-cxr init tb_entropy                                          its file, copied here to be edited
  al-cxr baseline --arch cnn                                      one fully labelled model
  al-cxr baseline --arch all pneumonia                            one table of all architectures
  al-cxr baseline transfer --folds 5                              cross-validation: every image tested on once
  al-cxr search cxr3_features                                     hyper-parameters, chosen on validation data
  al-cxr compare runs/tb_entropy                                  every round against the fully labelled baseline
  al-cxr report runs/tb_entropy                                   its page again: results/tb_entropy/report.html
  al-cxr publish tb_entropy                                       what is worth keeping of it: results/published
  al-cxr evaluate runs/tb_entropy --data other_hospital.csv       trained models, or bundles, on another data set
  al-cxr bundle runs/tb_entropy/baseline my_model                 a trained model that loads without its experiment
  al-cxr predict my_model my_images/                              its answers to any folder of images, as a CSV
  al-cxr adapt my_model their_images/ their_model                 fitted to another hospital's images; test it there
  al-cxr explain my_model image.png                               where it looked
  al-cxr features archive/ --plan                                 its images' features, once: how long that takes
  al-cxr label open archive/ my_project --classes normal,tb      label an archive in the browser; the model asks
  al-cxr data audit my_images.csv                                 what is in a data set, and what is wrong with it

Research software: not a medical device, not for diagnosis."""


def parser() -> argparse.ArgumentParser:
    """Of the whole command line; `call` of what it parses is the function that takes it."""
    top = argparse.ArgumentParser(
        "al-cxr",
        description=(al_cxr.__doc__ or "").strip(),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"al-cxr {al_cxr.__version__}")
    add_commands(top, COMMANDS, "COMMAND")
    return top
