"""How long the gate takes that every command passes its images through: `python benchmarks/gate.py`.

Phantoms of 64 pixels, each seen with a little noise of its own so that none is a copy; seconds of this process's cores,
not of the clock, so that what else the machine does has no part in it. The search for near copies, once a run, is
another matter: benchmarks/audit.py.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from al_cxr.data.dataset import Dataset
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.data.quality import gate
from al_cxr.data.store import PixelStore

DRAWN = 200
"""Phantoms that are drawn; of each there are as many as it takes, with noise."""


def main() -> None:
    images = PhantomImages(DRAWN, seed=0, difficulty=0.5)
    drawn_MSS = np.stack([images.read(i, 64)[0] for i in range(DRAWN)]).astype(np.int16)
    print("images   summary  looking at each  sentences")
    for count in (1_000, 10_000):
        rng = np.random.default_rng(0)
        pixels_NSS = np.concatenate(
            [drawn_MSS + rng.integers(-12, 13, drawn_MSS.shape) for _ in range(count // DRAWN)]
        ).clip(0, 255)
        store = PixelStore(pixels_NSS.astype(np.uint8), [str(i) for i in range(count)])
        split_N = np.resize(["train"] * 7 + ["val"] + ["test"] * 2, count)
        named = PhantomImages(count, seed=0, difficulty=0.5)
        table = pd.DataFrame({"image": np.arange(count)})
        dataset = Dataset("gate", ("normal", "ill"), np.arange(count) % 2, split_N, table, named)
        seconds = [time.process_time()]
        usual = gate.reference(dataset, store)
        seconds.append(time.process_time())
        seen = gate.inspect(dataset, store, usual)
        seconds.append(time.process_time())
        gate.warnings(dataset, store, seen, [None] * count)
        seconds.append(time.process_time())
        print(f"{count:6,}   " + "  ".join(f"{s:6.1f} s" for s in np.diff(seconds)), flush=True)


if __name__ == "__main__":
    main()
