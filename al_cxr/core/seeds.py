"""One integer seed in, independent random streams out, one for each purpose.

All arms of a seed draw from the same streams, which is what makes their comparison paired.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. `stream(0, "loader", epoch)`; distinct purposes give independent streams."""
    words = [int.from_bytes(hashlib.sha256(repr(p).encode()).digest()[:4], "little") for p in purpose]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> 1)


def rng(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator on the stream of a purpose."""
    return np.random.default_rng(stream(seed, *purpose))


def member_seed(seed: int, member: int) -> int:
    """The seed that a member of an ensemble is trained with, the same in all arms; member 0 is the run's own model."""
    return seed if member == 0 else stream(seed, "member", member)


def digest(*arrays: np.ndarray) -> str:
    """Hex SHA-256 of arrays' types, shapes and bytes; the hashes that stand in records."""
    h = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        h.update(f"{array.dtype.str}{array.shape}".encode())
        h.update(array.tobytes())
    return h.hexdigest()


def digest_text(text: str) -> str:
    """Hex SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def loader_hash(seed: int, parts: int) -> str:
    """Digest of what decides the augmentation and the dropout of every part of a training, and the order of as many
    passes over its images."""
    keys = [stream(seed, purpose, part) for part in range(parts) for purpose in ("order", "augment", "dropout")]
    return digest(np.array(keys, np.int64))


def masks_hash(seed: int, round: int, passes: int) -> str:
    """Digest of what decides the masks of the passes over the pool of a round, at the first random site."""
    return digest(np.array([stream(seed, "mask", round, 0, 0), passes], np.int64))
