"""The inputs of a bundle as pixels: decoded by threads, a fixed number at a time, the next while one is used."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from al_cxr.bundles.inputs import Inputs
from al_cxr.data import decode
from al_cxr.data.files import Root
from al_cxr.errors import UserError

CHUNK = 256
"""Images decoded ahead and then noted together: bounds the memory, and what a kill can lose."""


def decoded(
    inputs: Inputs, size: int, workers: int, start: int
) -> Generator[tuple[list[str], np.ndarray, list[tuple[str, str]]], None, None]:
    """Chunks of the inputs from `start` on: names, pixels uint8 (N, size, size), and (name, reason) of the bad ones.

    While one chunk is used, the next is decoded.
    """
    root = Root(inputs.root, inputs.follow_links)

    def one(name: str) -> np.ndarray | str:
        try:
            root.stat(name)  # again: since it was listed it may have become a link or a pipe
            return decode.decode_bytes(decode.read_file(inputs.root / name, name), size, name)
        except FileNotFoundError:
            return "no such file"
        except UserError as error:
            return str(error).removeprefix(f"{name}: ")

    def submit(at: int) -> list[tuple[str, Future[np.ndarray | str]]]:
        return [(name, pool.submit(one, name)) for name in inputs.names[at : at + CHUNK]]

    with ThreadPoolExecutor(workers) as pool:
        ahead = submit(start)
        try:
            for at in range(start, len(inputs.names), CHUNK):
                now, ahead = ahead, submit(at + CHUNK)
                results = [(name, future.result()) for name, future in now]
                good = [(name, pixels) for name, pixels in results if isinstance(pixels, np.ndarray)]
                pixels_NSS = np.stack([pixels for _, pixels in good]) if good else np.empty((0, size, size), np.uint8)
                yield [name for name, _ in good], pixels_NSS, [(n, r) for n, r in results if isinstance(r, str)]
        finally:
            for _, future in ahead:
                future.cancel()
