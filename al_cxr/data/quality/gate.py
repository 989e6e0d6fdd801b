"""What every command passes its images through before it learns from them or answers.

Is there anything to see? Each image is looked at (`odd.py`): *unusable* are those with nothing on them, *doubtful*
those that look like a negative, lie on their side or show no frontal chest. Of a set it is told how many images are
copies of others, how many different ones are left, and whether it is as a whole unlike what a model was trained on.
Nothing is dropped here: `run` and `evaluate` say it and go on, `predict` abstains, `adapt` leaves out. 10,000 images of
64 pixels take about seven seconds of one core (benchmarks/gate.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from al_cxr.core.enough import FEW
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.quality import duplicates
from al_cxr.data.quality.odd import ImageCheck, check_images, chestless, framed
from al_cxr.data.quality.sketches import sketch
from al_cxr.data.quality.usual import Usual, features, fit
from al_cxr.data.store import PixelStore

VERSION = 2
"""Goes up whenever something else is said of the same image, or it is written down in another way."""

BATCH = 1024
"""Images looked at together: bounds the memory."""

NAMED = 3
"""Images that a warning names."""

OFTEN = 0.05
"""Share of copies within a split from which on a run says so; `data audit` always does."""

UNLIKE, FAR = 0.25, 0.95
"""Share of a set's images that may be more unlike than the share FAR of the validation images; 0.05 would be by chance,
and of the test sets of three collections at most 0.07 were. Of other hospitals 0.5 to 1 were."""

CHESTLESS, SAMPLE = 0.3, 100
"""Share of so many images, taken evenly, without a chest that the template finds: of radiographs 0.006 are."""


class Gate:
    """What was seen of images that come in batches, in their order."""

    def __init__(self, usual: Usual | None) -> None:
        self.usual = usual
        self.names: list[str] = []
        self.checks: list[ImageCheck] = []
        self.keys: list[str] = []
        """Equal for images with equal pixels alone."""

    def check(self, names: Sequence[str], pixels_NSS: np.ndarray, files: Sequence[ImageCheck] = ()) -> list[ImageCheck]:
        """Check N images, uint8 (N, S, S), of one size in all batches; `files` are the checks of their files."""
        found = check_images(pixels_NSS, self.usual)
        if files:
            both = zip(files, found, strict=True)
            found = [replace(file, unlike=seen.unlike) if _graver(file, seen) else seen for file, seen in both]
        self.note(names, found, [duplicates.key(image_SS) for image_SS in pixels_NSS])
        return found

    def note(self, names: Sequence[str], checks: Sequence[ImageCheck], keys: Sequence[str]) -> None:
        """Add what an earlier `check` found."""
        self.names += names
        self.checks += checks
        self.keys += keys

    @property
    def unusable_N(self) -> np.ndarray:
        return np.array([seen.unusable for seen in self.checks], bool)

    @property
    def doubtful_N(self) -> np.ndarray:
        return np.array([bool(seen.what) and not seen.unusable for seen in self.checks], bool)

    @property
    def copy_N(self) -> np.ndarray:
        """Images with something on them whose pixels are those of an earlier one."""
        return np.asarray(~self.unusable_N & repeats(self.keys))

    @property
    def first_N(self) -> np.ndarray:
        """Images with something on them, each where it stands first."""
        return np.asarray(~self.unusable_N & ~self.copy_N)

    @property
    def different(self) -> int:
        """Images with something on them, each once."""
        return int(np.count_nonzero(self.first_N))

    def odd(self, done: str, split_N: np.ndarray | None = None) -> list[str]:
        """Sentences about images with nothing on them, which end with what is `done` with these, and about doubtful
        ones."""
        found = []
        if n := np.count_nonzero(self.unusable_N):
            what = f"{n:,} of {len(self.checks):,} images {'has' if n == 1 else 'have'} nothing on them to see"
            found.append(f"{what}{self._where(self.unusable_N, split_N)}: {self._named(self.unusable_N)}; {done}")
        if n := np.count_nonzero(self.doubtful_N):
            does = "does" if n == 1 else "do"
            what = f"{n:,} of {len(self.checks):,} images {does} not look like an upright frontal chest radiograph"
            found.append(f"{what}{self._where(self.doubtful_N, split_N)}: {self._named(self.doubtful_N)}")
        return found

    def repeated(self, done: str, least: float = 0.0, split_N: np.ndarray | None = None) -> list[str]:
        """A sentence about copies, within each split, where they are at least this share of the images."""
        splits = [""] * len(self.keys) if split_N is None else split_N.tolist()
        copy_N = ~self.unusable_N & repeats([f"{split} {k}" for split, k in zip(splits, self.keys, strict=True)])
        n = int(np.count_nonzero(copy_N))
        if n == 0 or n < least * len(self.checks):
            return []
        names = _first([self.names[i] for i in np.flatnonzero(copy_N).tolist()])
        are = "is an identical copy of another" if n == 1 else "are identical copies of others"
        return [f"{n:,} of {len(self.checks):,} images {are}, pixel by pixel: {names}; {done}"]

    def few(self) -> list[str]:
        """A sentence where hardly any different images with something on them are left."""
        if self.different >= FEW:
            return []
        return [f"{self.different} different images with something on them are left: too few to say much of a model"]

    def unlike(self, usual_images: str = "the training images") -> list[str]:
        """A sentence where the set as a whole is unlike what a model was trained on."""
        values = [s.unlike for s in self.checks if s.unlike is not None and not s.unusable]
        n = sum(value > FAR for value in values)
        if n < 5 or n <= UNLIKE * len(values):
            return []
        return [
            f"{n:,} of {len(values):,} images ({100 * n / len(values):.0f} %) are more unlike {usual_images} than "
            f"{100 * FAR:.0f} % of the validation images are: another hospital, machine or kind of image? What was "
            "measured on images like those of training may not hold for these"
        ]

    def outliers(self) -> list[str]:
        """A sentence about images that are unlike all that was seen in validation, in a set that is not so as a whole;
        of 100 validation images one image in 100 is so by chance."""
        far_N = ~self.unusable_N & ~self.doubtful_N & np.array([seen.unlike == 1 for seen in self.checks], bool)
        n = int(np.count_nonzero(far_N))
        if n == 0 or self.unlike():
            return []
        names = _first([self.names[i] for i in np.flatnonzero(far_N).tolist()])
        are = "is" if n == 1 else "are"
        what = f"{n:,} of {len(self.checks):,} images {are} more unlike the training images than any"
        return [f"{what} validation image: {names}; no chest radiograph like that was learnt from, if it is one at all"]

    def _where(self, yes_N: np.ndarray, split_N: np.ndarray | None) -> str:
        if split_N is None:
            return ""
        counts = {split: int(np.count_nonzero(yes_N & (split_N == split))) for split in SPLITS}
        return f" ({', '.join(f'{n:,} of {split}' for split, n in counts.items() if n)})"

    def _named(self, yes_N: np.ndarray) -> str:
        chosen = [f"{self.names[i]} ({self.checks[i].what})" for i in np.flatnonzero(yes_N).tolist()]
        return _first(chosen)


def reference(dataset: Dataset, store: PixelStore) -> Usual | None:
    """What the training images of a data set look like, and how far its validation images are from them."""
    parts = [features(framed(pixels_NSS)) for _, pixels_NSS in _batches(store)]
    features_NK = np.concatenate(parts)
    return fit(features_NK[dataset.indices("train")], features_NK[dataset.indices("val")])


def inspect(dataset: Dataset, store: PixelStore, usual: Usual | None) -> Gate:
    """All images of a data set."""
    gate = Gate(usual)
    for start, pixels_NSS in _batches(store):
        gate.check([dataset.images.name(start + i) for i in range(len(pixels_NSS))], pixels_NSS)
    return gate


def warnings(dataset: Dataset, store: PixelStore, gate: Gate, group_N: Sequence[object]) -> list[str]:
    """What a reader has to know of a data set with splits before any result on it, most serious first.

    `group_N` numbers the sets of copies that were found, None or NA where an image is in none.
    """
    rows = np.unique(np.linspace(0, len(store) - 1, SAMPLE).round().astype(int))
    blind = chestless(framed(store.pixels[rows]))
    found = leaks(dataset, store, gate, group_N)
    found += gate.odd("they are kept, so look at them and take out what is no radiograph", dataset.split_N)
    if blind > CHESTLESS * len(rows):
        found.append(
            f"no frontal chest is found on {blind} of {len(rows)} images that were looked at: are these frontal chest "
            "radiographs, the right way round?"
        )
    return found + gate.repeated("they count more than once", OFTEN, dataset.split_N)


def leaks(dataset: Dataset, store: PixelStore, gate: Gate, group_N: Sequence[object]) -> list[str]:
    """A sentence for each two splits that share images: identical files or pixels, and, of images that are not drawn
    by a program, near copies too."""
    found = []
    near_N = [None if dataset.synthetic or group is None or group != group else group for group in group_N]
    for split, origin in (("test", "train"), ("val", "train"), ("test", "val")):
        there, here = dataset.indices(origin).tolist(), dataset.indices(split).tolist()
        known = {store.digests[i] for i in there} | {gate.keys[i] for i in there}
        groups = {near_N[i] for i in there} - {None}
        same = [i for i in here if (store.digests[i] in known or gate.keys[i] in known) and not gate.checks[i].unusable]
        told = set(same)
        near = [i for i in here if near_N[i] in groups and i not in told and not gate.checks[i].unusable]
        if same or near:
            kinds = []
            if same:
                kinds.append(f"{len(same):,} identical")
            if near:
                kinds.append(f"{len(near):,} nearly so")
            names = _first([gate.names[i] for i in same + near])
            consequence = "measured on them is memory" if split == "test" else "chosen by them is flattered"
            n = len(same) + len(near)
            are = "is a copy of an image" if n == 1 else "are copies of images"
            what = f"{n:,} of {len(here):,} {split} images {are} of {origin} ({', '.join(kinds)})"
            found.append(f"{what}: what is {consequence} ({names})")
    return found


def near_copies(pixels_NSS: np.ndarray) -> int:
    """How many of N different images, as `framed` gives them, are nearly copies of others; 0 where that cannot be told,
    because they are smaller."""
    if pixels_NSS.shape[1] < duplicates.SIZE:
        return 0
    keys_N = [duplicates.key(image_SS) for image_SS in pixels_NSS]
    return len(duplicates.find(keys_N, keys_N, sketch(pixels_NSS), pixels_NSS.__getitem__).links)


def repeats(keys: Sequence[str]) -> np.ndarray:
    """Which of N keys stood there before, bool (N,)."""
    known: set[str] = set()
    repeated_N = np.zeros(len(keys), bool)
    for i, k in enumerate(keys):
        repeated_N[i] = k in known
        known.add(k)
    return repeated_N


def _graver(file: ImageCheck, pixels: ImageCheck) -> bool:
    return bool(file.what) and not pixels.unusable and (file.unusable or not pixels.what)


def _batches(store: PixelStore) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(store), BATCH):
        yield start, np.asarray(store.pixels[start : start + BATCH])


def _first(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
