"""Pretrained weights from a local file: size, hash and content are checked, and nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import Annotated

import safetensors.torch
import torch
from pydantic import Field
from torch import nn

from al_cxr.core.errors import Unavailable, UserError
from al_cxr.models import tfjs

# Options that several architectures share.
Weights = Annotated[str, Field(min_length=1, description="'none', 'imagenet' or a file")]
Hash = Annotated[str, Field(pattern=r"^([0-9a-f]{8,64})?$", description="first hex digits of the file's SHA-256")]

MAX_BYTES = 2**30
SUFFIXES = (".pth", ".pt", ".safetensors", ".tgz")

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})$")


def read_weights(path: Path, sha256: str, key: str) -> dict[str, torch.Tensor]:
    """Tensors of a .pth, .pt (torch.load with weights_only), .safetensors or .tgz file (`tfjs`), by name, on the CPU.

    The file's SHA-256 must start with `sha256`, or, if that is "", with the hex digits that its name ends in
    (resnet18-f37072fd.pth, as torchvision names its files); a name without digits is not checked. `key` is the setting
    that UserErrors name: missing file, other suffix, wrong hash, or anything in it that is not finite weights.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{key}: {path}: weights are 'none', 'imagenet' or a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        how = f" ({tfjs.fetch(path)})" if path.suffix == ".tgz" else ""
        raise Unavailable(f"{key}: {path}: no such file; put the weights there{how}, or name another file")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{key}: {path}: larger than {MAX_BYTES:,} bytes; is this a file of weights?")
    content = path.read_bytes()  # read once, so that what was hashed is what is loaded
    in_name = _HASH_IN_NAME.search(path.stem)
    expected = sha256 or (in_name[1] if in_name else "")
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(expected):
        said = f"{key}_sha256" if sha256 else "the file name"
        raise UserError(
            f"{key}: {path}: its SHA-256 starts with {found[: len(expected)]}, {said} says {expected}; fetch the file "
            f"again, or set {key}_sha256 if this is the file you mean"
        )
    return _tensors(path, content, key)


def load_strictly(net: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Put a state dict into a network; UserError, beginning with `where`, if any name or shape is another one."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        shown = " ".join(line if len(line) <= 200 else f"{line[:200]} ..." for line in lines[:3])
        raise UserError(f"{where}: these are not the weights of this architecture. {shown}") from None


def _tensors(path: Path, content: bytes, key: str) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load(content)
        elif path.suffix == ".tgz":
            state = tfjs.read(content)
        else:
            _refuse_zip_bomb(content)
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file can make the parsers raise anything; none of it is our bug
        raise UserError(
            f"{key}: {path}: refused, this is no file of plain weights ({type(error).__name__}); save them with "
            f"torch.save(model.state_dict(), ...) or as safetensors"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(
            f"{key}: {path}: holds no mapping from names to tensors; save model.state_dict() and not the model or a "
            f"whole checkpoint"
        )
    # Before anything looks at the values: a tensor may claim more elements than the file has bytes (stride 0).
    odd = [str(name) for name, t in state.items() if not _is_plain(t) or t.numel() > len(content)]
    if odd:
        raise UserError(f"{key}: {path}: {', '.join(odd[:3])}: not a dense tensor of real numbers")
    bad = [str(name) for name, t in state.items() if not torch.isfinite(t).all()]
    if bad:
        raise UserError(f"{key}: {path}: NaN or infinity in {', '.join(bad[:3])}; the file is damaged")
    return {str(name): tensor for name, tensor in state.items()}


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and tensor.device.type == "cpu" and tensor.dtype in _DTYPES


def _refuse_zip_bomb(content: bytes) -> None:
    """ValueError for an archive that unpacks to more than MAX_BYTES; torch itself writes uncompressed ones."""
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return
    if sum(member.file_size for member in zipfile.ZipFile(stream).infolist()) > MAX_BYTES:
        raise ValueError("unpacks to too many bytes")
