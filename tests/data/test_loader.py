"""Rows on their way to a device: in order, few of them in memory at once, and no thread left over."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from al_cxr.data import loader
from al_cxr.data.loader import prefetched, resident

CPU = torch.device("cpu")
STORED = np.arange(50 * 4 * 4, dtype=np.uint8).reshape(50, 4, 4)


class Counted:
    """Rows that note which of them were read."""

    def __init__(self, broken: int = -1) -> None:
        self.read: list[int] = []
        self.broken = broken

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        if self.broken in rows:
            raise OSError("the disk is gone")
        self.read += rows.tolist()
        return STORED[rows]


def test_rows_come_in_the_order_that_was_asked_for() -> None:
    order = np.random.default_rng(0).permutation(50)
    chunks = np.array_split(order, 7)
    given = list(prefetched(STORED, chunks, CPU))
    assert np.array_equal(np.concatenate([chunk for chunk, _ in given]), order)
    assert np.array_equal(torch.cat([rows for _, rows in given]).numpy(), STORED[order])


def test_a_reader_who_stops_early_ends_the_thread_and_reads_few_rows() -> None:
    stored, threads = Counted(), threading.active_count()
    reading = prefetched(stored, np.arange(50)[:, None], CPU)  # type: ignore[arg-type]
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads
    assert len(stored.read) <= 5, "the one that was read, two that waited, one at hand, one on its way"


def test_what_goes_wrong_in_the_thread_is_raised_where_rows_are_read() -> None:
    given = []
    with pytest.raises(OSError, match="the disk is gone"):
        for chunk, _ in prefetched(Counted(broken=4), np.arange(50)[:, None], CPU):  # type: ignore[arg-type]
            given.append(int(chunk[0]))
    assert given == [0, 1, 2, 3]


@pytest.mark.parametrize("piece", [1, 16 * 7, 2**20])
def test_all_rows_reach_a_device_piece_by_piece(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(loader, "PIECE", piece)
    table = np.zeros(50, [("image", "u1", (32,)), ("features", "<f4", (3,))])
    table["features"] = np.random.default_rng(0).normal(size=(50, 3))
    for stored in (STORED, table["features"]):  # rows that lie apart, as in a file of the feature cache
        kept = resident(stored, CPU)
        assert kept.is_contiguous() and np.array_equal(kept.numpy(), stored)
