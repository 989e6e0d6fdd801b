r"""How often the two tests for copies are wrong: false alarms a million pairs, and copies that are not found.

    python benchmarks/copies.py data/cxr/cxr3.csv data/cxr/pneumonia.csv data/cxr/shenzhen.csv \
        --out results/benchmarks/copies.md

Known copies are made of radiographs by changes that happen to files. Every two of all radiographs are the pairs that
are none; those with identical pixels are copies that the collections hold, and left out. Half of the patients (part A)
were used to choose the threshold of the finer test, the others (part B) judge it; so do phantoms, of which every two
are compared as well. It takes about four minutes of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from al_cxr.core.drafts import write_atomically
from al_cxr.data.dataset import Images
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.data.quality import alignment, candidates, sketches
from al_cxr.data.quality.duplicates import COARSE, FINE, FINE_SIZE, SIZE, key
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.evaluation.intervals import clopper_pearson

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
WHOLE = 224
"""Pixels of the side at which an image is changed."""


def jpeg(quality: int) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("L")

    return change


def resized(side: int) -> Change:
    return lambda image, rng: image.resize((side, side), Image.Resampling.BICUBIC)


def gamma(exponent: float) -> Change:
    return lambda image, rng: image.point([round(255 * (value / 255) ** exponent) for value in range(256)])


def cropped(share: float) -> Change:
    """So much of the width and of the height is lost, at random parts at either end."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        left, upper = rng.uniform(0, share * image.width, 2)
        box = (left, upper, left + (1 - share) * image.width, upper + (1 - share) * image.height)
        return image.transform(image.size, Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)

    return change


def turned(degrees: float) -> Change:
    return lambda image, rng: image.rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BICUBIC)


def noisy(greys: float) -> Change:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        values = np.asarray(image) + rng.normal(0, greys, (image.height, image.width))
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))

    return change


def marked(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A black plate of 20 x 10 % in an upper corner, with letters burnt in."""
    image, high = image.copy(), image.width // 10
    left = int(rng.choice([high // 2, image.width - 2 * high - high // 2]))
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, high // 2, left + 2 * high, high // 2 + high), fill=0)
    draw.text((left + 4, high // 2 + 4), "L 12:30", fill=255)
    return image


CHANGES: dict[str, Change] = {
    "JPEG, quality 75": jpeg(75),
    "JPEG, quality 50": jpeg(50),
    "JPEG, quality 30": jpeg(30),
    "JPEG, quality 10": jpeg(10),
    "enlarged to 400 px": resized(400),
    "shrunk to 112 px": resized(112),
    "shrunk to 64 px": resized(64),
    "shrunk to 28 px": resized(28),
    "brightness 0.6": lambda image, rng: ImageEnhance.Brightness(image).enhance(0.6),
    "brightness 1.3": lambda image, rng: ImageEnhance.Brightness(image).enhance(1.3),
    "contrast 1.5": lambda image, rng: ImageEnhance.Contrast(image).enhance(1.5),
    "gamma 0.6": gamma(0.6),
    "gamma 1.8": gamma(1.8),
    "equalised": lambda image, rng: ImageOps.equalize(image),
    "noise of 5 grey levels": noisy(5),
    "noise of 10 grey levels": noisy(10),
    "marker burnt in": marked,
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "negative": lambda image, rng: ImageOps.invert(image),
    "cropped by 1 %": cropped(0.01),
    "cropped by 2 %": cropped(0.02),
    "cropped by 5 %": cropped(0.05),
    "turned by 1 degree": turned(1),
    "turned by 2 degrees": turned(2),
    "turned by 3 degrees": turned(3),
}


@dataclass(frozen=True, eq=False)
class Collection:
    """N images of which no two are copies, as far as identical pixels tell."""

    images: list[tuple[Images, int]]
    patient_N: np.ndarray
    sketches_NK: np.ndarray

    @classmethod
    def read(cls, images: list[tuple[Images, int]], patients: list[str]) -> Collection:
        first: dict[str, int] = {}
        parts = []
        for start in range(0, len(images), 512):
            pixels = np.stack([source.read(i, SIZE).pixels for source, i in images[start : start + 512]])
            parts.append(sketches.sketch(pixels))
            for n, image in enumerate(pixels, start):
                first.setdefault(key(image), n)
        kept = np.array(sorted(first.values()))
        return cls([images[n] for n in kept], np.array(patients)[kept], np.concatenate(parts)[kept])

    def pixels(self, n: int, size: int) -> np.ndarray:
        source, i = self.images[n]
        return source.read(i, size).pixels


def real(manifests: list[Path]) -> Collection:
    seen: dict[str, tuple[Images, int, str]] = {}
    for manifest in manifests:
        dataset = ManifestSource(path=str(manifest)).read()
        for i, patient in enumerate(dataset.table["patient_id"]):
            seen.setdefault(dataset.images.name(i), (dataset.images, i, patient))
    return Collection.read([(source, i) for source, i, _ in seen.values()], [p for _, _, p in seen.values()])


def phantoms(count: int) -> Collection:
    images = PhantomImages(count, seed=0, difficulty=0.5)
    return Collection.read(
        [(images, i) for i in range(count)], [str(images.patient(i)[0].number) for i in range(count)]
    )


@dataclass(frozen=True)
class Alarms:
    """Pairs of different images, and which likeness in detail those have that pass the first test, of one patient or
    of two."""

    pairs: dict[str, int]
    passed: dict[str, list[float]]


def similar(collection: Collection) -> dict[tuple[int, int], float]:
    """Pairs that pass the first test, of every two, and the likeness of their detail."""
    pyramid = lru_cache(512)(lambda n: alignment.Pyramid.of(collection.pixels(n, FINE_SIZE)))
    common_K = sketches.common(collection.sketches_NK)
    most: dict[tuple[int, int], float] = {}
    for pairs in candidates.candidates(collection.sketches_NK, common_K):
        other_PK = sketches.changed(collection.sketches_NK[pairs.j_P], pairs.mirrored, pairs.negative)
        alike_P = sketches.likeness(collection.sketches_NK[pairs.i_P], other_PK, common_K) >= COARSE
        for i, j in zip(pairs.i_P[alike_P].tolist(), pairs.j_P[alike_P].tolist(), strict=True):
            like = alignment.likeness(pyramid(i), pyramid(j).changed(pairs.mirrored, pairs.negative))
            most[i, j] = max(like, most.get((i, j), -1.0))
    return most


def alarms(patient_N: np.ndarray, found: dict[tuple[int, int], float], chosen_N: np.ndarray) -> Alarms:
    """Of the pairs of which both images are chosen."""
    count, sizes = int(chosen_N.sum()), np.unique(patient_N[chosen_N], return_counts=True)[1]
    same = int((sizes * (sizes - 1) // 2).sum())
    passed: dict[str, list[float]] = {"two patients": [], "one patient": []}
    for (i, j), like in found.items():
        if chosen_N[i] and chosen_N[j]:
            passed["one patient" if patient_N[i] == patient_N[j] else "two patients"].append(like)
    return Alarms({"two patients": count * (count - 1) // 2 - same, "one patient": same}, passed)


@dataclass(frozen=True)
class Recall:
    """Of copies made by one change: which pass the first test, the likeness of the detail of all, and which the sorted
    lists propose among all images."""

    coarse_M: np.ndarray
    like_M: np.ndarray
    proposed_M: np.ndarray


def recall(
    collection: Collection, chosen_N: np.ndarray, count: int, seed: int, lists: bool = False
) -> dict[str, Recall]:
    """change -> of so many of the chosen images, drawn at random, among the whole collection."""
    rng = np.random.default_rng(seed)
    base_M = np.sort(rng.choice(np.flatnonzero(chosen_N), count, replace=False))
    whole = [Image.fromarray(collection.pixels(int(n), WHOLE)) for n in base_M]
    own = [alignment.Pyramid.of(scaled(image, FINE_SIZE)) for image in whole]
    common_K, own_MK = sketches.common(collection.sketches_NK), collection.sketches_NK[base_M]
    found = {}
    for name, change in CHANGES.items():
        images = [change(image, rng) for image in whole]
        kind = {"mirrored": name == "mirrored", "negative": name == "negative"}
        theirs_MK = sketches.sketch(np.stack([scaled(image, SIZE) for image in images]))
        back_MK = sketches.changed(theirs_MK, **kind)
        apart_M = np.bitwise_count(candidates._words(own_MK, common_K) ^ candidates._words(back_MK, common_K)).sum(1)
        coarse_M = (apart_M <= candidates.DISTANCE) & (sketches.likeness(own_MK, back_MK, common_K) >= COARSE)
        pyramids = [alignment.Pyramid.of(scaled(image, FINE_SIZE)).changed(**kind) for image in images]
        like_M = np.array([alignment.likeness(a, b) for a, b in zip(own, pyramids, strict=True)])
        proposed_M = np.zeros(len(base_M), bool)
        if lists:
            pairs = {(int(n), len(collection.images) + m): m for m, n in enumerate(base_M)}
            every_NK = np.concatenate([collection.sketches_NK, theirs_MK])
            for block in candidates.candidates(every_NK, common_K, [(kind["mirrored"], kind["negative"])]):
                hits = [pairs.get(pair) for pair in zip(block.i_P.tolist(), block.j_P.tolist(), strict=True)]
                proposed_M[[m for m in hits if m is not None]] = True
        found[name] = Recall(coarse_M, like_M, proposed_M)
        print(f"{name:24} {coarse_M.mean():.3f} {np.quantile(like_M, [0.02, 0.1])} {proposed_M.mean():.3f}", flush=True)
    return found


def scaled(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def rate(wrong: int, pairs: int) -> str:
    """A million pairs."""
    low, high = clopper_pearson(wrong, pairs)
    return "{} ({} to {})".format(*(f"{float(f'{1e6 * share:.2g}'):,.15g}" for share in (wrong / pairs, low, high)))


def grid(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def alarm_rows(name: str, found: Alarms) -> list[list[str]]:
    rows = []
    for whose, pairs in found.pairs.items():
        likes = np.array(found.passed[whose])
        called = int((likes >= FINE).sum())
        largest = f"{likes.max():.2f}" if len(likes) else ""
        rows.append([f"{name}, {whose}", f"{pairs:,}", f"{len(likes):,}", rate(len(likes), pairs)])
        rows[-1] += [f"{called:,}", rate(called, pairs), largest]
    return rows


def share(yes_M: np.ndarray) -> str:
    return f"{100 * yes_M.mean():.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--phantoms", type=int, default=2_000)
    parser.add_argument("--made", type=int, default=40, help="copies made by each change in each part")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    everything = real(options.manifests)
    in_a_N = np.array([hashlib.sha256(p.encode()).digest()[0] % 2 == 0 for p in everything.patient_N.tolist()])
    made_a = recall(everything, in_a_N, options.made, 0)
    made_b = recall(everything, ~in_a_N, options.made, 1, lists=True)
    candidates.EVERY = 10**9  # every two are compared
    pairs, all_N = similar(everything), np.ones(len(everything.images), bool)
    found_a, found_b, found_all = (
        alarms(everything.patient_N, pairs, chosen_N) for chosen_N in (in_a_N, ~in_a_N, all_N)
    )
    drawn = phantoms(options.phantoms)
    found_drawn = alarms(drawn.patient_N, similar(drawn), np.ones(len(drawn.images), bool))
    made_drawn = recall(drawn, np.ones(len(drawn.images), bool), options.made, 2)

    likes_a = np.concatenate([found_a.passed[whose] for whose in found_a.pairs])
    most = [name for name in CHANGES if name not in ("JPEG, quality 10", "shrunk to 28 px")]
    choice = [
        [f"{at:.2f}", str((likes_a >= at).sum()), *(share(np.concatenate([made_a[n].like_M for n in some]) >= at)
         for some in (most, list(CHANGES)))]
        for at in (0.70, 0.75, 0.80, 0.85, 0.88, 0.90, 0.91, 0.92, 0.94, 0.96)
    ]  # fmt: skip
    rows = [
        [
            name,
            share(made_b[name].coarse_M),
            share(made_b[name].coarse_M & (made_b[name].like_M >= FINE)),
            share(made_b[name].proposed_M & made_b[name].coarse_M & (made_b[name].like_M >= FINE)),
            share(made_drawn[name].coarse_M & (made_drawn[name].like_M >= FINE)),
        ]
        for name in CHANGES
    ]
    header = ["pairs", "compared", "similar", "a million", "called copies", "a million", "largest"]
    alarm = [("radiographs, part B", found_b), ("radiographs, all", found_all), ("phantoms", found_drawn)]
    passed_a = sum(map(len, found_a.passed.values()))
    patients = len(set(everything.patient_N.tolist()))
    lines = [
        "# How often the tests for copies are wrong",
        f"    python {shlex.join(sys.argv)}",
        f"{len(everything.images):,} radiographs with different pixels, of {patients:,} patients, and "
        f"{len(drawn.images):,} phantoms.",
        f"The first test compares sketches made of {SIZE} x {SIZE} pixels and proposes pairs: *similar*. The second "
        f"compares the fine detail at {FINE_SIZE} x {FINE_SIZE} pixels after one image was laid over the other. Only "
        "what passes both is called a copy.",
        "## False alarms",
        "Every two images are compared, also mirrored and as negatives. *A million*: so many pairs of a million, with "
        "the 95 % interval of Clopper and Pearson; pairs that share an image are not independent, so the truth is less "
        f"certain than that. *Largest*: likeness in the second test; from {FINE:g} on it is a copy. Two phantoms of "
        "one patient differ by pose, exposure and noise alone.",
        grid(header, [row for name, found in alarm for row in alarm_rows(name, found)]),
        "## Copies that are found",
        f"In % of {options.made} copies made by each change of radiographs of {WHOLE} px of part B, and of as many "
        f"phantoms. *By sorted lists*: where the search among all {len(everything.images):,} radiographs, which does "
        "not compare every two, has to propose them too.",
        grid(["change", "first test", "both tests", "both, by sorted lists", "phantoms, both"], rows),
        "## How the threshold was chosen",
        f"On part A alone, {passed_a} of whose pairs of different images pass the first test. In use: {FINE:g}.",
        grid(
            ["threshold", "different images called copies", "copies found, %", "and with JPEG 10 and 28 px, %"], choice
        ),
    ]
    text = "\n\n".join(lines) + "\n"
    print(text)
    if options.out:
        write_atomically(options.out, text.encode())


if __name__ == "__main__":
    main()
