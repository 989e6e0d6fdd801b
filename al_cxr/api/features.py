"""The features of an archive, as a function and for the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_cxr import models
from al_cxr.bundles.inputs import find_inputs
from al_cxr.config import Machine
from al_cxr.core.cache import default_cache
from al_cxr.core.errors import UserError
from al_cxr.core.seeds import stream
from al_cxr.data.dataset import Images
from al_cxr.data.sources.files import FileImages, Root
from al_cxr.data.sources.named import named_source
from al_cxr.data.sources.source import kinds
from al_cxr.models.backbone import Backbone
from al_cxr.training.archive import ArchiveFeatures, FeaturePass
from al_cxr.training.runtime import plain


@dataclass(frozen=True, eq=False)
class Features:
    """What a frozen backbone makes of an archive.

    Attributes
    ----------
    features_NK : ndarray of float32, shape (N, K)
        Memory-mapped and read-only; a row for each image that can be used.
    names : list of str
        What each of the N images is called: its path relative to the archive, or what its source calls it.
    left_out : list of (str, str)
        Name of each file that should have been an image, and why it has no features.
    notes : tuple of str
        What had to be guessed about images.
    path : Path
        The file in the cache, a row with ``image`` (SHA-256) and ``features`` for each image (``numpy.load``).
    computed : int
        Images that were computed now; those of all others were kept from before.
    seconds : float
        That this took.
    """

    features_NK: np.ndarray
    names: list[str]
    left_out: list[tuple[str, str]]
    notes: tuple[str, ...]
    path: Path
    computed: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Archive:
    """Images that were found, none of which was read yet."""

    images: Images
    left_out: list[tuple[str, str]]
    others: int = 0
    """Files that are no images."""
    synthetic: bool = False


def features(
    archive: str | Path,
    arch: str = "efficientnet_lite0",
    *,
    options: Mapping[str, Any] | None = None,
    image_size: int = 224,
    engine: str = "torch",
    workers: int = 0,
    device: str = "auto",
    cache: str | Path | None = None,
    root: str | Path | None = None,
    follow_links: bool = False,
) -> Features:
    """Compute the features of an archive with a frozen backbone, once.

    What an earlier call has computed is not computed again, whichever archive it was in.
    A call that was killed goes on.

    Parameters
    ----------
    archive : str or Path
        A folder, searched with all folders below it, or a CSV with a column ``path`` (images and DICOM; labels are not
        needed and not looked at), a DICOMDIR, or ``"phantom:COUNT"`` and any other data set that ``--data`` names.
    arch : str, default "efficientnet_lite0"
        An architecture with pretrained weights: ``efficientnet_lite0``, ``efficientnet_lite2`` or ``backbone``.
    options : mapping, optional
        Its options, as under ``model.options`` in an experiment file.
    image_size : int, default 224
        Side in pixels, 28 to 1024.
    engine : str, default "torch"
        ``"torch"``, or ``"openvino"``, which is faster on a CPU and differs by some millionths; other names as of
        ``model.feature_engine`` in an experiment file.
    workers : int, default 0
        Cores that decode and compute, 0 for all. They change the speed and no bit.
    device : str, default "auto"
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    cache : str or Path, optional
        Folder that pixels and features are kept in; ``$AL_CXR_CACHE`` or the user's cache folder unless given.
    root : str or Path, optional
        Folder that the paths of a CSV start from; the folder of the CSV unless given.
    follow_links : bool, default False
        Read symbolic links that lead out of the folder of images.

    Returns
    -------
    Features
        An array with a row for each image, and their names.

    Raises
    ------
    UserError
        If there is nothing to read, if no image can be used, or if an option is wrong.

    References
    ----------
    Kornblith, Shlens and Le, "Do Better ImageNet Models Transfer Better?" (2019), https://arxiv.org/abs/1805.08974.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     found = features("phantom:30", "backbone", options={"name": "test_resnet"}, image_size=32, cache=cache)
    ... # doctest: +ELLIPSIS
    decoding to 32 px, computing features: 30 images
    ...
    >>> found.features_NK.shape, found.names[0]
    ((30, 96), 'phantom-00000')
    """
    found = open_archive(archive, root, follow_links)
    given = feature_pass(arch, options or {}, image_size, engine, workers, device, cache)
    return features_of(found, given.run(found.images))


def open_archive(archive: str | Path, root: str | Path | None = None, follow_links: bool = False) -> Archive:
    """The images of an archive by their names; UserError where there is nothing to read."""
    path = Path(archive).expanduser()
    if _is_named(archive, path):
        source = named_source(archive)
        if root is not None or follow_links:
            raise UserError(f"{archive}: root and follow_links are for folders and CSV files; leave them out")
        dataset = source.read()
        return Archive(dataset.images, list(dataset.left_out), synthetic=dataset.synthetic)
    inputs = find_inputs(path, None if root is None else Path(root).expanduser(), follow_links)
    if not inputs.names:
        name, reason = inputs.skipped[0]
        raise UserError(f"{path}: none of {len(inputs.skipped):,} images can be used ({name}: {reason})")
    below = Root(inputs.root, inputs.follow_links)
    images = FileImages(below, inputs.names, [below.stat(name) for name in inputs.names], inputs.patients)
    return Archive(images, list(inputs.skipped), inputs.others)


def _is_named(archive: str | Path, path: Path) -> bool:
    """Whether a kind of source makes the images, such as phantom:COUNT, or reads them from one file."""
    if isinstance(archive, str) and archive.partition(":")[0] in kinds() and not path.exists():
        return True
    return path.suffix == ".npz"


def feature_pass(
    arch: str,
    options: Mapping[str, Any],
    image_size: int,
    engine: str,
    workers: int,
    device: str,
    cache: str | Path | None,
) -> FeaturePass:
    """A backbone that is ready to look at archives; UserError where an option is wrong."""
    if not 28 <= image_size <= 1024:
        raise UserError(f"image_size: {image_size} px; give 28 to 1024")
    if workers < 0:
        raise UserError(f"workers: {workers}; give the number of cores to use, or 0 for all")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(0, "weights"))  # where the options name none
        backbone = models.build(arch, 1, 2, image_size, options)
    if not isinstance(backbone, Backbone):
        raise UserError(
            f"{arch}: is trained whole, on pixels; choose efficientnet_lite0, efficientnet_lite2 or backbone"
        )
    runtime = plain(Machine(device=device, threads=1)).activate()
    return FeaturePass(backbone, image_size, Path(cache or default_cache()), runtime, engine, workers)


@dataclass(frozen=True)
class Opened:
    """How an archive and a backbone are opened, on this machine or another."""

    archive: str
    root: str | None
    follow_links: bool
    arch: str
    options: str
    """As JSON, so that equal ones are equal."""
    image_size: int
    engine: str
    device: str
    cache: str

    def __call__(self) -> tuple[Images, FeaturePass]:
        """With one core of a task."""
        options = json.loads(self.options)
        given = feature_pass(self.arch, options, self.image_size, self.engine, 1, self.device, self.cache)
        return open_archive(self.archive, self.root, self.follow_links).images, given


def features_of(archive: Archive, made: ArchiveFeatures) -> Features:
    """The features of an archive with names, and which images have none; UserError where none has any."""
    if not len(made.index_M):
        reason = made.unusable[min(made.unusable)]
        raise UserError(f"none of {len(archive.images):,} images can be used: {reason}")
    names = [archive.images.name(int(i)) for i in made.index_M]
    unusable = [(archive.images.name(i), reason) for i, reason in sorted(made.unusable.items())]
    left_out = [*archive.left_out, *((name, reason.removeprefix(f"{name}: ")) for name, reason in unusable)]
    return Features(made.features_MK, names, left_out, made.notes, made.path, made.computed, made.seconds)
