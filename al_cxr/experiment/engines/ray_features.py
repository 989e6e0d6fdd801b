"""The features of an archive as Ray tasks, on this machine or on a cluster: each shard is decoded and computed once.

What a task is given is how to open the archive and the backbone; files and cache lie where all nodes see them. A task
writes the features of its shard into the cache, where they stay if the rest is killed; a task that lost its worker is
begun again and goes on. The bytes are those that one process computes.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from al_cxr.config import Ray
from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress, mute
from al_cxr.data.dataset import Images, SomeImages
from al_cxr.experiment.engines.ray import RETRIES, connected, slots_of
from al_cxr.experiment.executor import shards_of
from al_cxr.training.archive import ArchiveFeatures, FeaturePass

Opened = Callable[[], tuple[Images, FeaturePass]]
"""Opens the archive and the backbone, on any node; it has to be picklable and hashable."""


def features_on_ray(opened: Opened, options: Ray) -> ArchiveFeatures:
    """The features of all images that can be used, in shards of `options.shard` images.

    UserError where Ray is not installed or not reached, where no node has what a task asks for, where a task has lost
    too many workers, or for a mistake that a task met.
    """
    began = time.monotonic()
    images, given = opened()
    if given.on_gpu and options.gpus == 0:
        raise UserError("machine.ray.gpus: the device is a GPU, so a task needs a share of one; set it, e.g. to 1")
    shards = shards_of(np.arange(len(images)), options.shard)
    with connected(options) as ray:
        slots_of(ray, options)
        task = ray.remote(_shard).options(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=RETRIES)
        pending = {task.remote(opened, Path.cwd(), shard): at for at, shard in enumerate(shards)}
        made: list[ArchiveFeatures | None] = [None] * len(shards)
        try:
            with Progress(len(images), "decoding and computing features on Ray") as bar:
                while pending:
                    (done, *_), _ = ray.wait(list(pending))
                    found = ray.get(done)
                    if isinstance(found, str):
                        raise UserError(found)
                    at = pending.pop(done)
                    made[at] = found
                    bar.update(len(shards[at]))
        except ray.exceptions.RayTaskError:
            raise  # a bug, with its traceback
        except ray.exceptions.RayError as error:
            raise UserError(
                f"Ray stopped, or a shard has lost its worker {RETRIES + 1} times ({type(error).__name__}); the same "
                "command goes on"
            ) from None
        finally:
            for waiting in pending:
                ray.cancel(waiting, force=True)
    return replace(given.joined([one for one in made if one is not None], shards), seconds=time.monotonic() - began)


@functools.lru_cache(maxsize=1)
def _opened(opened: Opened) -> tuple[Images, FeaturePass]:
    """Once a worker."""
    return opened()


def _shard(opened: Opened, here: Path, shard: np.ndarray) -> ArchiveFeatures | str:
    """What was made of a shard, without the features, which lie in the cache; the text of a user's mistake."""
    mute()
    if here.is_dir():
        os.chdir(here)
    try:
        images, given = _opened(opened)
        return given.run(SomeImages(images, shard)).without_features()
    except UserError as mistake:
        return str(mistake)
