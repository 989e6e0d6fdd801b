"""Check a data set: counts, patients in two splits, copies, unreadable files, shortcuts; writes a report."""

from __future__ import annotations

import argparse

import al_cxr
from al_cxr.cli.data.options import SHOWN_SIZE, add_data_options
from al_cxr.cli.options import source_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.core import provenance
    from al_cxr.core.outputs import must_be_about, must_be_apart, must_be_free
    from al_cxr.data.quality.audit import audit
    from al_cxr.report.audit import write_audit
    from al_cxr.report.contact import reader
    from al_cxr.report.kit.page import PAGE

    source = source_of(options)
    must_be_apart(options.out, source.image_folder())
    dataset = al_cxr.load_data(source)
    folder = options.out / dataset.name / "audit"
    must_be_free(folder, PAGE)  # before the work, not after it
    must_be_about(folder, "", provenance.command())
    print(f"data      {dataset.stamp} · {len(dataset):,} images")
    found = audit(dataset)
    warnings = dict.fromkeys([*found.warnings, *dataset.notes])
    for warning in warnings:
        print(f"warning   {warning}")
    if not warnings:
        print("nothing was found to warn of")
    sets, pairs = len(found.copies), len(found.similar)
    print(f"copies    {sets:,} sets; {pairs:,} pairs that are similar and not called copies")
    read = reader(dataset.images, SHOWN_SIZE)
    page = write_audit(found, dataset, read, folder, folder / "gallery", provenance.command())
    if dataset.left_out:
        print(
            f"left out  {len(dataset.left_out):,} files, each with its reason in {folder / 'tables' / 'left_out.csv'}"
        )
    print(f"report    {page}")
