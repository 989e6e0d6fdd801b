"""Which network, and how it is trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from al_cxr.config.section import Section

STEPS = 1000
"""Optimizer steps of a training whose settings name no length."""


class ModelSettings(Section):
    arch: str = Field("cnn", description="name in the registry of al_cxr.models")
    in_channels: Literal[1, 3] = Field(1, description="1 = grey, 3 = the grey channel repeated")
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="architecture -> its keyword arguments; only those of `arch` are used"
    )
    tune: Literal["all", "last", "frozen"] = Field(
        "all", description="what is trained: all, the last stages and the head, or the head on features of the rest"
    )
    tune_stages: int = Field(1, ge=1, description="last only: stages at the end of the backbone that are trained")
    tune_depthwise: bool = Field(
        True, description="last only: also their depthwise kernels, whose gradient takes half of a step on a CPU"
    )

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the architecture in use."""
        return dict(self.options.get(self.arch, {}))


class ScannerSettings(Section):
    """What another machine in another hospital does to a radiograph; random per image."""

    aspect: float = Field(0.1, ge=0, le=0.5, description="width over height, factor exp(-a) .. exp(a)")
    gamma: float = Field(0.4, ge=0, le=2, description="grey values to the power of exp(-g) .. exp(g)")
    blur: float = Field(0.008, ge=0, le=0.05, description="largest standard deviation, fraction of the side")
    collimation: float = Field(0.1, ge=0, le=0.4, description="largest black border, fraction of the side")
    letters: float = Field(0.3, ge=0, le=1, description="probability of a burnt-in mark")


class AugmentSettings(Section):
    """Random per image; geometry is one affine map and one interpolation."""

    horizontal_flip: float = Field(0.5, ge=0, le=1, description="probability")
    rotation: float = Field(10.0, ge=0, le=180, description="largest angle, degrees")
    translation: float = Field(0.05, ge=0, le=0.5, description="largest shift, fraction of the side")
    crop_scale: tuple[float, float] = Field((0.9, 1.0), description="area of the resized crop, of the image")
    brightness: float = Field(0.1, ge=0, le=1, description="factor drawn from 1 - b .. 1 + b")
    contrast: float = Field(0.1, ge=0, le=1, description="factor drawn from 1 - c .. 1 + c")
    scanner: ScannerSettings | None = Field(None, description="null = off; {} = other machines, with its defaults")

    @model_validator(mode="after")
    def _ordered(self) -> AugmentSettings:
        low, high = self.crop_scale
        if not 0 < low <= high <= 2:
            raise ValueError(
                "crop_scale must be [low, high], 0 < low <= high <= 2 (above 1 the image shrinks into a black frame)"
            )
        return self


class LossSettings(Section):
    kind: Literal["cross_entropy", "weighted", "focal"]
    gamma: float = Field(2.0, ge=0, description="focal only: weight (1 - p)^gamma")
    alpha: Literal["none", "balanced"] | list[float] = Field(
        "none", description="focal only: weight a class; balanced = inverse frequency in the labelled images, mean 1"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the label spread over all classes")


class TrainSettings(Section):
    """How a network is trained. Its length is `steps`, the same for any number of labels, or `epochs`, never both.

    With a fixed number of epochs a network of few labels is also trained for fewer steps, so that what more labels
    bring and what longer training brings cannot be told apart.
    """

    steps: int | None = Field(None, ge=1, description="optimizer steps, whatever the number of labels; null: epochs")
    epochs: int | None = Field(None, ge=1, description="passes over the labelled images instead; null: steps")
    validations: int = Field(20, ge=1, description="with steps: how often validation is looked at, evenly spaced")
    batch_size: int = Field(64, ge=2, description="images a step")
    optimizer: Literal["adam", "adamw"] = Field("adam")
    lr: float = Field(1e-3, gt=0, description="learning rate at the start")
    weight_decay: float = Field(0.0, ge=0, description="L2 for adam, decoupled for adamw")
    layer_decay: float = Field(1.0, gt=0, le=1, description="backbones: factor on the rate a block nearer to the input")
    schedule: Literal["plateau", "cosine", "constant"] = Field("plateau")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="factor on the rate when val loss stalls")
    plateau_patience: int = Field(3, ge=0, description="validations without a better val loss before that")
    monitor: Literal["macro_f1", "accuracy", "loss", "none"] = Field(
        "macro_f1", description="val metric whose best epoch or validation is taken; none = the last weights"
    )
    patience: int = Field(0, ge=0, description="validations without a better val metric before stopping; 0 = never")
    mixup: float = Field(0.0, ge=0, description="Beta(a, a) of mixup; 0 = off")
    cutmix: float = Field(0.0, ge=0, description="Beta(a, a) of cutmix; 0 = off")
    clip_norm: float = Field(0.0, ge=0, description="largest gradient norm; 0 = no clipping")
    mean: float = Field(0.5, description="subtracted from pixels in 0..1")
    std: float = Field(0.5, gt=0, description="pixels are divided by it after that")
    augment: AugmentSettings | None = Field(default_factory=AugmentSettings, description="null = off")
    views: int = Field(
        0, ge=0, le=100, description="model.tune frozen only: copies of each training image, varied by augment, kept"
    )
    originals: float | None = Field(
        None, gt=0, le=1, description="with views: how often the image itself is seen; null = as often as each copy"
    )

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainSettings:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(
                f"steps is {self.steps} and epochs is {self.epochs}, and a training has one length; set one to null"
            )
        return self

    @property
    def length(self) -> tuple[Literal["steps", "epochs"], int]:
        """The unit in which a training is measured, and how many."""
        return ("epochs", self.epochs) if self.epochs is not None else ("steps", self.steps or STEPS)

    @property
    def parts(self) -> int:
        """How often validation is looked at: after each epoch, or `validations` times."""
        unit, count = self.length
        return count if unit == "epochs" else min(self.validations, count)

    @model_validator(mode="after")
    def _has_copies_beside_originals(self) -> TrainSettings:
        if self.originals is not None and not self.views:
            raise ValueError(
                "originals is how often an image itself is seen beside its views; set views, or it to null"
            )
        return self

    @model_validator(mode="after")
    def _stops_by_what_it_watches(self) -> TrainSettings:
        if self.monitor == "none" and self.patience:
            raise ValueError("patience needs a metric to wait for, and monitor is none; set monitor, or patience to 0")
        return self
