"""Nothing in a bundle from outside is believed: what was changed, added, linked or oversized is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from al_cxr.bundles.folder import read_bundle
from al_cxr.core.errors import UserError


def resign(bundle: Path) -> None:
    """A manifest that fits what is there: what somebody writes who means harm."""
    files = sorted(p for p in bundle.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(bundle).as_posix()}\n" for p in files]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def _pickle(bundle: Path) -> None:
    (bundle / "members" / "1" / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))


def _extra(bundle: Path) -> None:
    (bundle / "members" / "1" / "model.pkl").write_bytes(b"")


def _outside(bundle: Path) -> None:
    with open(bundle / "SHA256SUMS", "a") as f:
        f.write(f"{'0' * 64}  ../secret.json\n")


def _link(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.safetensors"
    shutil.move(file, bundle.parent / "weights")
    os.symlink(bundle.parent / "weights", file)


def _linked_folder(bundle: Path) -> None:
    shutil.move(bundle / "members", bundle.parent / "members")
    os.symlink(bundle.parent / "members", bundle / "members")


def _header(bundle: Path) -> None:
    (bundle / "members" / "1" / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")


def _shape(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[0]
    save_file(tensors | {name: torch.zeros(3, 3)}, file)


def _giant(bundle: Path) -> None:
    """A network of a hundred gigabytes, for which there are no weights."""
    file = bundle / "members" / "1" / "model.json"
    says = json.loads(file.read_text())
    file.write_text(json.dumps(says | {"arch": "vit", "options": {"dim": 65536, "depth": 8, "patch": 2}}))
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(record | {"networks": [record["networks"][0] | {"arch": "vit"}]}))


def _other_card(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"classes": ["tuberculosis", "pneumonia", "normal"]}))


def _size(bundle: Path) -> None:
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(record | {"image_size": 10**9}))


def _infinite(bundle: Path) -> None:
    text = (bundle / "bundle.json").read_text()
    record = json.loads(text)
    (bundle / "bundle.json").write_text(text.replace(f'"temperature": {record["temperature"]}', '"temperature": 1e999'))


def _missing(bundle: Path) -> None:
    (bundle / "README.md").unlink()


def _foreign_weights(bundle: Path) -> None:
    """A head alone, whose backbone would be read from a file of the reader's."""
    file = bundle / "members" / "1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tune": "frozen"}))


def _option(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"options": {"width": "os.system"}}))


def _validation(**changed: torch.Tensor) -> Callable[[Path], None]:
    def attack(bundle: Path) -> None:
        file = bundle / "validation.safetensors"
        save_file(load_file(file) | changed, file)

    return attack


def _cut_validation(bundle: Path) -> None:
    file = bundle / "validation.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("attack", "signed", "message"),
    [
        (_pickle, False, "its hash differs"),
        (_pickle, True, "not a safetensors file"),
        (_extra, False, "not in the manifest"),
        (_extra, True, "not a file of a bundle"),
        (_outside, False, "not a hash and the name of a file in a bundle"),
        (_link, False, "not a regular file"),
        (_linked_folder, False, "symbolic link"),
        (_header, True, "not a safetensors file"),
        (_shape, True, "the network has"),
        (_giant, True, "the network has"),
        (_other_card, True, "another network or preparation"),
        (_size, True, "image_size"),
        (_infinite, True, "temperature"),
        (_missing, False, "missing"),
        (_missing, True, "missing"),
        (_option, True, "width"),
        (_foreign_weights, True, "weights from outside"),
        (_validation(labels=torch.zeros(3, dtype=torch.int64)), False, "its hash differs"),
        (_validation(labels=torch.zeros(3, dtype=torch.int64)), True, "with a label each"),
        (_validation(labels=torch.tensor(3)), True, "with a label each"),
        (_validation(probs=torch.full((20, 3), 1 / 3)), True, "not float64 probabilities"),
        (_validation(probs=torch.full((20, 3), torch.nan, dtype=torch.float64)), True, "not float64|add up to 1"),
        (_validation(more=torch.zeros(1)), True, "instead of probs and labels"),
        (_cut_validation, True, "not a file of weights"),
    ],
)
def test_a_hostile_bundle_is_refused(saved: Path, attack: Callable[[Path], None], signed: bool, message: str) -> None:
    read_bundle(saved)
    attack(saved)
    if signed:
        resign(saved)
    with pytest.raises(UserError, match=message):
        read_bundle(saved)
