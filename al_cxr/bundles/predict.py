"""A bundle's answers to a stream of images: decoded by threads, a fixed number at a time, written as a CSV.

The numbers depend on the bundle and the image alone (and where a file of more than 8 bits does not state its depth, on
that of the others: `al_cxr.data.depth`). The network always sees batches of one size, filled up with black images, on
one thread, because in floating point a matrix product's last bits depend on its shape and on the threads.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from al_cxr.bundles import decoding
from al_cxr.bundles.bundle import Bundle, must_be_outside
from al_cxr.bundles.bundle_records import LARGEST, BundleRecord, columns
from al_cxr.bundles.inputs import Inputs
from al_cxr.bundles.members import Kind, features, kind
from al_cxr.config import Machine
from al_cxr.core.drafts import sweep, write_atomically, writing
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_ours
from al_cxr.core.provenance import versions
from al_cxr.core.seeds import digest_text
from al_cxr.data import chest, decode, dicom
from al_cxr.data.doubts import told
from al_cxr.data.loader import Loader
from al_cxr.data.quality import gate
from al_cxr.data.quality.odd import Look
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.evaluation.operating import decide
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import predict as softmax_of
from al_cxr.strategies.statistics import entropy, member_statistics
from al_cxr.training.runtime import Runtime, plain

BATCH = 32
MASK_SEED = 0
"""Of the Monte-Carlo masks, so that a bundle gives the same answer everywhere."""

Row = list[str]

SKIPPED: Row = ["path", "reason"]
"""Columns of the list of images that could not be read."""
MAX_LINE = 2**16
"""Bytes of the first line of a file that is asked whether `predict` wrote it."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a bundle says of N images."""

    probs_NC: np.ndarray
    """Calibrated, float64."""
    entropy_N: np.ndarray
    """Of the calibrated probabilities, nats."""
    mutual_information_N: np.ndarray | None
    """Over members or Monte-Carlo passes, before calibration, nats; None where the bundle has neither."""


@dataclass(frozen=True)
class Done:
    """How a prediction went: rows in the CSV, images that were skipped, and rows that an earlier start had made."""

    rows: int
    skipped: int
    reused: int
    warnings: tuple[str, ...] = ()
    """What a reader of the rows has to know about the files: which are DICOM, whose brightness was guessed, what
    the gate says of them."""


def serving_runtime() -> Runtime:
    """Full precision and one thread of torch, the same everywhere; decoding has threads of its own."""
    return plain(Machine(threads=1)).activate()


def answerer(bundle: Bundle, runtime: Runtime) -> Callable[[np.ndarray], Answers]:
    """A function of pixels, uint8 (N, S, S) at the bundle's size, N >= 1, that gives the bundle's `Answers`."""
    record = bundle.record
    networks = bundle.networks(runtime)
    sampled = record.random_sites if record.uncertainty == "passes" else []
    kinds = [kind(network, sampled) for network in networks]

    def answer(pixels_NSS: np.ndarray) -> Answers:
        n = len(pixels_NSS)
        filled = np.zeros((-(-n // BATCH) * BATCH, *pixels_NSS.shape[1:]), np.uint8)
        filled[:n] = pixels_NSS
        order = np.arange(len(filled))
        shared: dict[Kind, Loader] = {}
        parts: list[tuple[nn.Module, Loader]] = []
        for fit, network, what in zip(bundle.fits, networks, kinds, strict=True):
            loader = fit.loader(filled, runtime)
            if what is not None and isinstance(network, Backbone):
                if what not in shared:
                    shared[what] = features(network, loader.batches(order, BATCH), runtime)
                parts.append((network.head, shared[what]))
            else:
                parts.append((network, loader))
        probs_KNC = [softmax_of(part, loader.batches(order, BATCH))[:n] for part, loader in parts]
        information_N = None
        if record.uncertainty == "members":
            information_N = member_statistics(order[:n], probs_KNC).mutual_information_N
        elif record.uncertainty == "passes":
            part, loader = parts[0]
            passes = monte_carlo(part, loader.batches(order, BATCH), Sampling(record.passes, MASK_SEED, 0))
            information_N = passes.mutual_information_N[:n] if passes.mutual_information_N is not None else None
        probs_NC = apply_temperature(mean_probs(probs_KNC), record.temperature)
        return Answers(probs_NC, entropy(probs_NC), information_N)

    return answer


def header(record: BundleRecord) -> Row:
    """The columns of the CSV; what stands in them, `bundle_records.columns` says."""
    return list(columns(record))


def rows(record: BundleRecord, names: list[str], answers: Answers, looks: list[Look]) -> list[Row]:
    """A row an image, as the CSV has it; `is_TARGET` and `abstain` are 1 or 0, empty where there is nothing to say.

    An image that is odd to look at has a note and no answer to rely on: `abstain` is 1.
    """
    target, threshold = record.classes.index(record.target), record.decision.threshold
    decided_by = LARGEST if threshold is None else f"P({record.target}) >= {threshold:.4f}"
    predicted_N = decide(answers.probs_NC, target, threshold)
    found = []
    for i, (name, seen) in enumerate(zip(names, looks, strict=True)):
        p_C = answers.probs_NC[i]
        information = "" if answers.mutual_information_N is None else f"{answers.mutual_information_N[i]:.6f}"
        flagged = "" if threshold is None else str(int(predicted_N[i] == target))
        abstained = str(int(bool(seen.what) or p_C.max() < record.abstention.confidence))
        unlike = "" if seen.unlike is None else f"{seen.unlike:.4f}"
        shown = [f"{p:.6f}" for p in p_C]
        predicted, entropy_i = record.classes[predicted_N[i]], f"{answers.entropy_N[i]:.6f}"
        said = [predicted, entropy_i, information, flagged, abstained, decided_by, unlike, seen.what]
        found.append([name, *shown, *said])
    return found


def predict(
    bundle: Bundle,
    inputs: Inputs,
    out: Path,
    workers: int,
    note: Callable[[int], Any],
    resumed: Callable[[int], Any] | None = None,
) -> Done:
    """Answers to all inputs as the CSV `out`, and what was skipped, with reasons, as `skipped_file(out)`.

    `workers` threads decode. After every chunk it stands in OUT.partial, from which a later start with the same bundle
    and the same files goes on; `note(n)` is told how many more images are done, and `resumed(n)`, where it is given,
    how many were done by an earlier start. UserError where none could be read, and before anything is done where a
    file would be overwritten that is an input or no earlier output of this function.
    """
    _must_be_ours(out, inputs)
    code = (
        f"{decode.VERSION} {chest.VERSION} {decoding.CHUNK} {BATCH} {json.dumps([versions(), header(bundle.record)])}"
        f" {gate.VERSION}"
    )
    key = digest_text(f"{bundle.identity()} {inputs.fingerprint} {code}")
    partial = _partial_file(out)
    done = _resumed(partial, key, inputs, workers)
    reused = sum(len(chunk["rows"]) for chunk in done)
    (resumed or note)(min(len(done) * decoding.CHUNK, len(inputs.names)))
    if len(done) * decoding.CHUNK < len(inputs.names):
        answer = answerer(bundle, serving_runtime())
        stream = decoding.decoded(inputs, bundle.record.image_size, workers, len(done) * decoding.CHUNK)
        with closing(stream):
            for chunk in stream:
                now = gate.Gate(bundle.usual)
                looks = now.look(chunk.names, chunk.pixels_NSS, chunk.files)
                made = rows(bundle.record, chunk.names, answer(chunk.pixels_NSS), looks) if chunk.names else []
                done.append({"rows": made, "skipped": chunk.bad, "doubts": chunk.doubts, "digests": chunk.digests})
                done[-1] |= {"looks": [astuple(one) for one in looks], "keys": now.keys}
                _append(partial, json.dumps(done[-1]).encode() + b"\n")
                note(len(chunk))
    skipped = [*map(list, inputs.skipped), *(line for chunk in done for line in chunk["skipped"])]
    made = [row for chunk in done for row in chunk["rows"]]
    skipped_file(out).unlink(missing_ok=True)
    if skipped:
        write_atomically(skipped_file(out), _csv(SKIPPED, skipped))
    warnings = dicom.skipped(reason for _, reason in skipped)
    if not made:
        partial.unlink(missing_ok=True)
        reasons = f"the reasons are in {skipped_file(out)}"
        raise UserError("; ".join([f"none of {len(skipped):,} images could be read", reasons, *warnings]))
    write_atomically(out, _csv(header(bundle.record), made))
    partial.unlink(missing_ok=True)
    warnings += told(((name, doubt) for chunk in done for name, doubt in chunk["doubts"]), len(made))
    warnings += _seen(bundle, done)
    return Done(len(made), len(skipped), reused, tuple(warnings))


def _seen(bundle: Bundle, done: list[dict[str, Any]]) -> list[str]:
    """What the gate says of all images together."""
    whole = gate.Gate(bundle.usual)
    for chunk in done:
        whole.note([row[0] for row in chunk["rows"]], [Look(*one) for one in chunk["looks"]], chunk["keys"])
    found = whole.odd("the model abstains from them (abstain = 1), and the column note says why")
    return found + whole.outliers() + whole.repeated("each of them is answered", gate.OFTEN) + whole.unlike()


def skipped_file(out: Path) -> Path:
    """Where the images that could not be read are listed: beside predictions.csv, predictions.skipped.csv."""
    return out.with_name(f"{out.stem}.skipped.csv")


def _partial_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def _must_be_ours(out: Path, inputs: Inputs) -> None:
    """UserError unless all three files are free or were written by `predict`, as their first lines tell."""
    must_be_outside(out)
    read = [inputs.path, *(inputs.root / name for name in inputs.names)]
    must_be_ours(out, lambda path: {"path", "abstain"} <= {*_first_line(path).split(",")}, read)
    must_be_ours(skipped_file(out), lambda path: _first_line(path) == ",".join(SKIPPED), read)
    must_be_ours(_partial_file(out), lambda path: _first_line(path).startswith('{"key": "'), read)


def _first_line(path: Path) -> str:
    with open(path, "rb") as f:
        return f.readline(MAX_LINE).decode(errors="replace").rstrip("\n")


def _append(partial: Path, line: bytes) -> None:
    with writing(partial), open(partial, "ab") as f:
        f.write(line)
        f.flush()
        os.fsync(f.fileno())


def _resumed(partial: Path, key: str, inputs: Inputs, workers: int) -> list[dict[str, Any]]:
    """The whole chunks of an earlier start with this key whose files are still the same, byte for byte; the file then
    ends after them, ready to be added to."""
    sweep(partial.parent)
    first = json.dumps({"key": key}).encode() + b"\n"
    try:
        lines = partial.read_bytes().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        lines = []
    if lines[:1] != [first]:
        lines = [first]
    whole = [line for line in lines if line.endswith(b"\n")]  # the last may be cut off
    done = [json.loads(line) for line in whole[1:]]
    done = done[: decoding.unchanged(inputs, [digest for chunk in done for digest in chunk["digests"]], workers)]
    write_atomically(partial, b"".join(whole[: 1 + len(done)]))
    return done


def _csv(columns: Row, lines: list[Any]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue().encode()
