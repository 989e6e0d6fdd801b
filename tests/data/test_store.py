"""The pixel store: what was decoded once is what decoding gives, whatever was killed, damaged or done at once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from al_cxr.core.cache import default_cache
from al_cxr.core.errors import UserError
from al_cxr.data import decode, store, store_draft
from al_cxr.data.decode import Reading
from al_cxr.data.store import PixelStore


class Noise:
    """Images from numbers, which count how often they are read."""

    def __init__(self, n: int = 20, bad: tuple[int, ...] = (), key: str = "noise") -> None:
        self.n, self.bad, self.key, self.reads = n, bad, f"{key}-{n}", 0

    def __len__(self) -> int:
        return self.n

    def read(self, index: int, size: int) -> Reading:
        self.reads += 1
        if index in self.bad:
            raise UserError(f"{self.name(index)}: truncated")
        pixels = np.random.default_rng(index).integers(0, 256, (size, size), dtype=np.uint8)
        return Reading(pixels, hashlib.sha256(pixels.tobytes()).hexdigest())

    def digest(self, index: int) -> str | None:
        return None

    def name(self, index: int) -> str:
        return f"noise-{index}"


def test_pixels_and_digests_are_those_of_the_images(tmp_path: Path) -> None:
    images = Noise(store_draft.WINDOW + 3)
    opened = PixelStore.open(images, 8, tmp_path, workers=3, progress=False)
    expected = [images.read(i, 8) for i in range(len(images))]
    assert np.array_equal(opened.pixels, np.stack([r.pixels for r in expected]))
    assert opened.digests == [r.digest for r in expected]
    assert opened.pixels.dtype == np.uint8 and opened.size == 8 and len(opened) == len(images)
    assert isinstance(opened.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        opened.pixels[0] = 0


def test_decoded_once_and_again_for_another_size_key_or_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Noise()
    first = PixelStore.open(images, 8, tmp_path, progress=False)
    again = PixelStore.open(images, 8, tmp_path, progress=False)
    assert images.reads == 20 and np.array_equal(first.pixels, again.pixels) and first.digests == again.digests
    assert first.fingerprint == again.fingerprint
    assert PixelStore.open(images, 9, tmp_path, progress=False).fingerprint != first.fingerprint
    assert images.reads == 40
    other = Noise(key="other")
    PixelStore.open(other, 8, tmp_path, progress=False)
    assert other.reads == 20
    monkeypatch.setattr(decode, "VERSION", decode.VERSION + 1)
    PixelStore.open(images, 8, tmp_path, progress=False)
    assert images.reads == 60


def test_a_damaged_store_is_made_again(tmp_path: Path) -> None:
    images = Noise()
    good = np.array(PixelStore.open(images, 8, tmp_path, progress=False).pixels)
    (home,) = tmp_path.iterdir()
    index = json.loads((home / store.INDEX).read_text())

    def cut() -> None:
        os.truncate(home / store.PIXELS, 100)

    def no_pixels() -> None:
        (home / store.PIXELS).unlink()

    def half_an_index() -> None:
        (home / store.INDEX).write_text(json.dumps(index)[:50])

    def fewer_digests() -> None:
        (home / store.INDEX).write_text(json.dumps(index | {"digests": index["digests"][:-1]}))

    def a_list() -> None:
        (home / store.INDEX).write_text("[]")

    def emptied() -> None:
        shutil.rmtree(home)
        home.mkdir()

    def a_file() -> None:
        shutil.rmtree(home)
        home.write_text("?")

    for times, damage in enumerate((cut, no_pixels, half_an_index, fewer_digests, a_list, emptied, a_file), start=2):
        damage()
        assert np.array_equal(PixelStore.open(images, 8, tmp_path, progress=False).pixels, good), damage.__name__
        assert images.reads == 20 * times
        assert [p.name for p in tmp_path.iterdir()] == [home.name]


def test_all_bad_images_in_one_error_and_the_good_ones_are_not_decoded_again(tmp_path: Path) -> None:
    images = Noise(600, bad=tuple(range(3, 600, 40)))
    with pytest.raises(UserError) as caught:
        PixelStore.open(images, 8, tmp_path, progress=False)
    text = str(caught.value)
    assert "15 of 600 images cannot be used" in text and "and 5 more" in text
    assert text.count(": truncated") == 10 and "noise-3: truncated" in text and "noise-363: truncated" in text
    reads = images.reads
    with pytest.raises(UserError, match="15 of 600"):
        PixelStore.open(images, 8, tmp_path, progress=False)
    listed = PixelStore.open(images, 8, tmp_path, progress=False, unusable=True)
    assert images.reads == reads + 30  # the bad ones each time, and no other
    assert len(listed.unusable) == 15 and listed.unusable[43] == "noise-43: truncated"
    assert not listed.pixels[43].any() and np.array_equal(listed.pixels[44], images.read(44, 8).pixels)
    images.bad = images.bad[1:]  # what was missing for the first is there now
    assert 3 not in PixelStore.open(images, 8, tmp_path, progress=False, unusable=True).unusable
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_that_is_no_user_error_is_not_hidden(tmp_path: Path) -> None:
    class Broken(Noise):
        def read(self, index: int, size: int) -> Reading:
            return Reading(np.zeros((3, 3), np.uint8), "0" * 64)

    with pytest.raises(ValueError, match="noise-0 was read as uint8"):
        PixelStore.open(Broken(), 8, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


class Killer(Noise):
    """Kills its process in the second window of eight, once the first is on the disk."""

    cache = Path()

    def read(self, index: int, size: int) -> Reading:
        if index == 10:
            while not any(path.stat().st_size for path in self.cache.glob(f".*/{store_draft.LINES}")):
                time.sleep(0.01)
            os.kill(os.getpid(), 9)
        return super().read(index, size)


def _open(images: Noise, cache: Path) -> None:
    for _ in range(3):
        opened = PixelStore.open(images, 8, cache, workers=1, progress=False)
        assert np.array_equal(opened.pixels[7], images.read(7, 8)[0])


def test_killed_while_building_leaves_no_store_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_draft, "WINDOW", 8)
    killer = Killer()
    killer.cache = tmp_path
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_open, args=(killer, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -9
    (draft,) = tmp_path.glob(".*")
    with open(draft / store.PIXELS, "ab") as pixels, open(draft / store.LINES, "ab") as lines:
        pixels.write(b"torn")
        lines.write(b'["torn')
    images, seen = Noise(), list[str]()

    def watch(keys: list[str], pixels_MSS: np.ndarray) -> None:
        seen.extend(hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in pixels_MSS)
        assert seen[-len(keys) :] == keys

    opened = PixelStore.open(images, 8, tmp_path, progress=False, watch=watch)
    assert images.reads == 12 and seen == opened.digests[8:]  # the first window is not decoded again
    assert np.array_equal(opened.pixels, np.stack([images.read(i, 8).pixels for i in range(20)]))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_draft_that_somebody_works_on_is_left_alone_and_an_old_one_of_another_kind_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "key"
    with store_draft.draft_of(folder) as mine:
        (mine / store.LINES).touch()
        with store_draft.draft_of(folder) as other:
            assert other != mine
        assert mine.exists() and not other.exists()
    old = tmp_path / ".key.old"
    old.mkdir()
    os.utime(old, (0, 0))
    with store_draft.draft_of(folder):
        assert not old.exists()
    assert list(tmp_path.iterdir()) == []


def test_several_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(Noise(300), tmp_path)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 1


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("AL_CXR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == Path("/home/somebody/.cache/al-cxr")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_cache() == Path("/x/al-cxr")
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
    PixelStore.open(Noise(), 8, progress=False)
    assert (tmp_path / "own").is_dir()


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="pixel cache cannot be used"):
        PixelStore.open(Noise(), 8, tmp_path / "file" / "cache", progress=False)


@pytest.mark.parametrize(
    ("limit", "most"), [({"WINDOW": 6}, 6), ({"WINDOW_BYTES": 3 * 64}, 3), ({"WINDOW_SECONDS": -1.0}, 1)]
)
def test_a_window_is_used_when_its_images_bytes_or_time_are_enough(
    limit: dict[str, float], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(store_draft, name, value)
    images, windows = Noise(), list[int]()
    opened = PixelStore.open(
        images, 8, tmp_path, progress=False, watch=lambda keys, pixels_MSS: windows.append(len(keys))
    )
    assert windows == [most] * (20 // most) + [20 % most] * (20 % most > 0)
    assert np.array_equal(opened.pixels, np.stack([images.read(i, 8).pixels for i in range(20)]))


def test_what_a_stopped_start_has_decoded_is_known_without_a_change(tmp_path: Path) -> None:
    images = Noise(bad=(2,))
    assert PixelStore.begun(images, 8, tmp_path / "none") == [] and not (tmp_path / "none").exists()

    def stopped(keys: list[str], pixels_MSS: np.ndarray) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PixelStore.open(images, 8, tmp_path, progress=False, watch=stopped, unusable=True)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    begun = PixelStore.begun(images, 8, tmp_path)
    assert len(begun) == 20 and begun[2] == "" and begun[3] == images.read(3, 8).digest
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
