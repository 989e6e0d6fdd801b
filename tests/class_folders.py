"""Images in class folders, and CSVs that name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_data

CLASSES = ("normal", "tb")


def tree(root: Path, below: str = "", n: int = 6) -> list[str]:
    """`n` images a class, each in its class folder (or in a folder `below` it, in which {} is the image's number)."""
    names = []
    for k, label in enumerate(CLASSES):
        for i in range(n):
            name = Path(label, below.format(i), f"im{i}.png")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 20 * k + i, np.uint8)).save(root / name)
            names.append(name.as_posix())
    return names


def table(path: Path, names: list[str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("path,label\n" + "".join(f"{n},{'tb' if '/tb/' in f'/{n}' else 'normal'}\n" for n in names))
    return str(path)


def load(data: str, root: Path | None = None, follow_links: bool = False, patient_folders: bool = False) -> Dataset:
    return load_data(data, root=root, follow_links=follow_links, patient_folders=patient_folders)
