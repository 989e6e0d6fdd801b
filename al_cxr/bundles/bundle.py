"""A trained model, or an ensemble, that needs no experiment to answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from al_cxr import models
from al_cxr.bundles.answers import Answerer, answerer
from al_cxr.bundles.predict import Images, predict_images
from al_cxr.bundles.record import BundleRecord
from al_cxr.bundles.validation import Validation
from al_cxr.core.seeds import digest_text
from al_cxr.data.quality.usual import Usual
from al_cxr.experiment.fits import Fit, ModelCard
from al_cxr.training.runtime import Runtime


@dataclass(frozen=True)
class Bundle:
    """A trained model: its networks, and all that makes an answer of what they say.

    Opened by `al_cxr.open_bundle`.

    Attributes
    ----------
    record : BundleRecord
        What the bundle says of itself: classes, target, image size, temperature, threshold, data.
    fits : tuple of Fit
        The networks, a folder each.
    seen : frozenset of str
        Digests of the images that the networks were trained on or chosen by.
    validation : Validation or None
        What the networks said of the validation images; None of a bundle from before bundles kept it.
    usual : Usual or None
        What its training images look like; None of an older bundle, and of one of few images.
    """

    record: BundleRecord
    fits: tuple[Fit, ...]
    seen: frozenset[str] = frozenset()
    validation: Validation | None = None
    usual: Usual | None = None

    def predict(self, images: Images) -> pd.DataFrame:
        """Answer for images without labels.

        An image that cannot be read is left out, with a warning. Nothing here is for a diagnosis.

        Parameters
        ----------
        images : path, array, or list of paths, arrays or Pillow images
            A folder with all folders below it, a CSV with a column path, or one image file; or grey images of any size
            as uint8, (N, H, W) or a list of (H, W). They are resized as files are.

        Returns
        -------
        DataFrame
            One row an image with the columns of `al-cxr predict`: path (of an image without one its position), p_CLASS
            (calibrated probability, 0..1), predicted, entropy and mutual_information (nats), is_TARGET, abstain,
            decided_by, unlike, note.

        Raises
        ------
        UserError
            Where no image can be read.
        """
        return predict_images(self.record, self.fits, self.usual, images)

    def answerer(self) -> Answerer:
        """A function of pixels, uint8 (N, S, S) at the bundle's size, N >= 1, that gives the bundle's `Answers`."""
        return answerer(self.record, self.fits)

    def networks(self, runtime: Runtime) -> list[nn.Module]:
        """The members with their weights, in eval mode on the device."""
        return [fit.model(runtime) for fit in self.fits]

    def identity(self) -> str:
        """Hex SHA-256 of all that decides an answer."""
        parts = [self.record.model_dump_json()]
        for fit in self.fits:
            parts += [portable(fit.model_card()).model_dump_json(), file_hash(fit.folder / "model.safetensors")]
        parts += [self.usual.identity()] if self.usual else []
        return digest_text("\n".join(parts))


def portable(card: ModelCard) -> ModelCard:
    """The card of a network that holds all its weights, and names no other file to take some from."""
    kept = {key: value for key, value in card.options.items() if not key.startswith("weights")}
    if "weights" in models.defaults(card.arch):
        kept["weights"] = "none"
    return card.model_copy(update={"options": kept, "tune": "all", "backbone": ""})


def file_hash(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
