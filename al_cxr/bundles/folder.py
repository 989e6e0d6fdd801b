"""The folder of a bundle, written and read; a bundle from outside is hostile.

Nothing of a bundle is used before every file in it was expected, is listed in the manifest and has the hash that stands
there. The hashes tell a damaged or mixed-up bundle; they cannot tell who made it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from al_cxr import models
from al_cxr.bundles.bundle import Bundle, file_hash, portable
from al_cxr.bundles.model_card import model_card
from al_cxr.bundles.record import (
    BUNDLE,
    CARD,
    MEMBERS,
    MOST_MEMBERS,
    SUMS,
    VALIDATION,
    BundleRecord,
    Network,
)
from al_cxr.bundles.validation import read_validation, write_validation
from al_cxr.config import Machine
from al_cxr.core.checkpoint import save_tensors
from al_cxr.core.drafts import write_atomically, writing
from al_cxr.core.errors import UserError
from al_cxr.core.records import FitRecord, read, write
from al_cxr.data.quality.usual import FILE as USUAL
from al_cxr.data.quality.usual import read_usual, write_usual
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.seen import SEEN, read_seen, write_seen
from al_cxr.training.runtime import plain

MEMBER_FILES = ("fit.json", "model.json", "model.safetensors")
MAX_TEXT, MAX_SEEN, MAX_WEIGHTS = 16 * 2**20, 256 * 2**20, 2 * 2**30
"""Bytes of one file: JSON or markdown, four million digests, weights."""

_LINE = re.compile(rf"([0-9a-f]{{64}})  ((?:{MEMBERS}/[1-9][0-9]?/)?[A-Za-z0-9_.]+)")


def write_bundle(bundle: Bundle, out: Path) -> Path:
    """Write the folder `out`, whole or not at all; UserError where it is there already."""
    must_be_new(out)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        write(draft / BUNDLE, bundle.record)
        write_atomically(draft / CARD, model_card(bundle.record).encode())
        write_seen(draft, bundle.seen)
        if bundle.validation is not None:
            write_validation(draft / VALIDATION, bundle.validation)
        if bundle.usual is not None:
            write_usual(draft / USUAL, bundle.usual)
        for number, fit in enumerate(bundle.fits, start=1):
            _save_member(fit, draft / MEMBERS / str(number))
        files = sorted(p.relative_to(draft).as_posix() for p in draft.rglob("*") if p.is_file())
        lines = [f"{file_hash(draft / name)}  {name}\n" for name in files]
        write_atomically(draft / SUMS, "".join(lines).encode())
        with writing(out):
            draft.chmod(0o755)
            os.rename(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out


def must_be_new(out: Path) -> None:
    """UserError where there is something, or where it would lie in a bundle."""
    if os.path.lexists(out):
        raise UserError(f"{out}: is there already; name a new folder, or delete it")
    must_be_outside(out)


def must_be_outside(out: Path) -> None:
    """UserError for an output in a bundle, which would be one no more: it holds nothing but itself."""
    for folder in (out, *out.resolve().parents):
        if (folder / SUMS).is_file() and (folder / BUNDLE).is_file():
            raise UserError(f"{out}: lies in the bundle {folder}, to which nothing may be added; choose another folder")


def _save_member(fit: Fit, folder: Path) -> None:
    card = fit.model_card()
    write(folder / "model.json", portable(card))
    write(folder / "fit.json", fit.record)
    if card.tune == "frozen":  # the fit holds the head alone, on a backbone that the reader may not have
        save_tensors(folder / "model.safetensors", fit.model(plain(Machine(device="cpu"))).state_dict())
    else:
        write_atomically(folder / "model.safetensors", (fit.folder / "model.safetensors").read_bytes())


def is_bundle(path: Path) -> bool:
    """Whether a path claims to be a bundle; whether it is one, `read_bundle` says."""
    return os.path.lexists(path / SUMS) or os.path.lexists(path / BUNDLE)


def read_bundle(path: Path) -> Bundle:
    """A bundle, after all of it was checked; UserError where anything is missing, changed or not expected."""
    sums = _sums(path)
    _check_files(path, sums)
    record = read(path / BUNDLE, BundleRecord)
    expected = {BUNDLE, CARD} | {f"{MEMBERS}/{i + 1}/{name}" for i in range(record.members) for name in MEMBER_FILES}
    if odd := sorted(expected ^ (set(sums) - {SEEN, VALIDATION, USUAL})):  # older bundles lack these
        raise UserError(f"{path}: {odd[0]}: {'missing' if odd[0] in expected else 'not a file of a bundle'}; refused")
    fits = []
    for number in range(1, record.members + 1):
        folder = path / MEMBERS / str(number)
        fit = Fit(folder, read(folder / "fit.json", FitRecord))
        _check_network(fit, record, number)
        fits.append(fit)
    validation = read_validation(path / VALIDATION, len(record.classes)) if VALIDATION in sums else None
    usual = read_usual(path / USUAL) if USUAL in sums else None
    return Bundle(record, tuple(fits), read_seen(path), validation, usual)


def _sums(path: Path) -> dict[str, str]:
    """Name -> hash, of the manifest; its names can only be those of files in a bundle."""
    file = path / SUMS
    _regular(file, MAX_TEXT)
    try:
        lines = file.read_text("ascii").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{file}: not a manifest of plain text; refused") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        parsed = _LINE.fullmatch(line)
        if parsed is None or parsed[2] in found or len(lines) > 3 * MOST_MEMBERS + 5:
            raise UserError(f"{file}: line {number}: not a hash and the name of a file in a bundle; refused")
        found[parsed[2]] = parsed[1]
    return found


def _check_files(path: Path, sums: dict[str, str]) -> None:
    """The folder holds the manifest's files, unchanged, and nothing else."""
    there: set[str] = set()
    for folder, names, files in os.walk(path):
        for name in names:
            if Path(folder, name).is_symlink():
                raise UserError(f"{Path(folder, name)}: a symbolic link in a bundle; refused")
        there |= {Path(folder, name).relative_to(path).as_posix() for name in files}
        if len(there) > len(sums) + 1:
            break
    if odd := sorted((there - {SUMS}) ^ set(sums)):
        raise UserError(
            f"{path}: {odd[0]}: {'in the manifest, but missing' if odd[0] in sums else 'not in the manifest'}; refused"
        )
    for name, expected in sums.items():
        _regular(path / name, _largest(name))
        if file_hash(path / name) != expected:
            raise UserError(f"{path}: {name}: changed since the bundle was written (its hash differs); refused")


def _largest(name: str) -> int:
    """Bytes that a file of a bundle may have."""
    if name == SEEN:
        return MAX_SEEN
    return MAX_WEIGHTS if name.endswith(".safetensors") else MAX_TEXT


def _regular(file: Path, most: int) -> None:
    """UserError for what is no regular file (a link, a pipe) and for one of more than `most` bytes."""
    try:
        info = os.lstat(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); is this a bundle?") from None
    if not stat.S_ISREG(info.st_mode):
        raise UserError(f"{file}: not a regular file; refused")
    if info.st_size > most:
        raise UserError(f"{file}: {info.st_size:,} bytes, more than {most:,}; refused")


def _check_network(fit: Fit, record: BundleRecord, number: int) -> None:
    """The member's card agrees with the bundle's and its weights fit the network, before memory is taken for either."""
    c = fit.model_card()
    says = Network(arch=c.arch, in_channels=c.in_channels, mean=c.mean, std=c.std)
    if (says, c.classes, c.image_size) != (record.networks[number - 1], record.classes, record.image_size):
        raise UserError(f"{fit.folder / 'model.json'}: another network or preparation than {BUNDLE} says; refused")
    if portable(c) != c:
        raise UserError(f"{fit.folder / 'model.json'}: asks for weights from outside the bundle; refused")
    weights = fit.folder / "model.safetensors"
    try:
        with safe_open(weights, "pt") as f:
            found = {name: tuple(f.get_slice(name).get_shape()) for name in f.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{weights}: not a safetensors file ({error}); refused") from None
    shapes = _without_memory(lambda: models.build(c.arch, c.in_channels, len(c.classes), c.image_size, c.options))
    if found != shapes:
        odd = sorted(name for name in found.keys() | shapes.keys() if found.get(name) != shapes.get(name))
        raise UserError(
            f"{weights}: {odd[0]} is {found.get(odd[0], 'missing')}, the network has "
            f"{shapes.get(odd[0], 'no such tensor')}; refused"
        )


def _without_memory(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's tensors, by name; none of them is made."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
