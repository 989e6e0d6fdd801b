"""Which network, and how it is trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from al_cxr.config.section import Section

STEPS = 1000
"""Optimizer steps of a training whose settings name no length."""


FeatureEngine = Literal["torch", "openvino", "torch_float16"]


class ModelSettings(Section):
    """Which network, and which part of it is trained."""

    arch: str = Field("cnn", description="name of the architecture, such as cnn")
    in_channels: Literal[1, 3] = Field(
        1, description="input channels: 1 = grey, 3 = the grey channel three times, as pretrained networks need it"
    )
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="options of architectures: name of the architecture -> its options; only those of arch are used",
    )
    tune: Literal["all", "last", "frozen"] = Field(
        "all",
        description=(
            "what is trained: all = everything, last = the last stages and the head, frozen = the head "
            "alone, on features that are computed once"
        ),
    )
    tune_stages: int = Field(
        1, ge=1, description="with tune: last, number of stages at the end of the backbone that are trained"
    )
    tune_depthwise: bool = Field(
        True,
        description=(
            "with tune: last, whether the depthwise kernels of these stages are trained too; on a CPU that "
            "is half of the time of a step"
        ),
    )

    feature_engine: FeatureEngine = Field(
        "torch",
        # Left out of records and keys where it is the default, so that those of older versions stay as they are.
        exclude_if=lambda engine: engine == "torch",
        description=(
            "with tune: frozen, what computes the features: torch (float32), openvino (float32, faster on a CPU) or "
            "torch_float16 (for a GPU)"
        ),
    )

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the architecture in use."""
        return dict(self.options.get(self.arch, {}))


class ScannerSettings(Section):
    """What another machine in another hospital does to a radiograph; random per image."""

    aspect: float = Field(
        0.1, ge=0, le=0.5, description="a: width over height is changed by a factor of exp(-a) to exp(a)"
    )
    gamma: float = Field(0.4, ge=0, le=2, description="g: grey values 0..1 are raised to a power of exp(-g) to exp(g)")
    blur: float = Field(
        0.008, ge=0, le=0.05, description="largest standard deviation of the blur, as a fraction of the image's side"
    )
    collimation: float = Field(
        0.1, ge=0, le=0.4, description="largest width of the black border, as a fraction of the image's side"
    )
    letters: float = Field(0.3, ge=0, le=1, description="probability of a burnt-in letter")


class AugmentSettings(Section):
    """Random per image; geometry is one affine map and one interpolation."""

    horizontal_flip: float = Field(0.5, ge=0, le=1, description="probability of a mirrored image")
    rotation: float = Field(10.0, ge=0, le=180, description="largest rotation to either side, in degrees")
    translation: float = Field(
        0.05, ge=0, le=0.5, description="largest shift in either direction, as a fraction of the image's side"
    )
    crop_scale: tuple[float, float] = Field(
        (0.9, 1.0),
        description=(
            "[smallest, largest] area of the crop as a share of the image's area, each above 0 and at most "
            "2; above 1 the image shrinks into a black frame"
        ),
    )
    brightness: float = Field(0.1, ge=0, le=1, description="b: brightness is multiplied by 1 - b to 1 + b")
    contrast: float = Field(0.1, ge=0, le=1, description="c: contrast is multiplied by 1 - c to 1 + c")
    scanner: ScannerSettings | None = Field(
        None, description="what another machine would change as well; null = nothing, {} = with its defaults"
    )

    @model_validator(mode="after")
    def _ordered(self) -> AugmentSettings:
        low, high = self.crop_scale
        if not 0 < low <= high <= 2:
            raise ValueError(
                "crop_scale must be [low, high], 0 < low <= high <= 2 (above 1 the image shrinks into a black frame)"
            )
        return self


class LossSettings(Section):
    """What a training minimises. Other keys than these are options of the kind, which checks them."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(
        description="cross_entropy, weighted (cross-entropy with balanced class weights), focal, or a loss of your own"
    )
    gamma: float = Field(
        2.0,
        ge=0,
        description="focal only: an image whose class has probability p is weighted by (1 - p) to the power of gamma",
    )
    alpha: Literal["none", "balanced"] | list[float] = Field(
        "none",
        description=(
            "focal only: weight of each class; none = 1, balanced = inverse to how often it is labelled, "
            "mean 1, or a list with one weight a class"
        ),
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that is spread evenly over all classes"
    )

    @property
    def shared(self) -> dict[str, Any]:
        """The options that stand in the settings of every loss, whether its kind takes them or not."""
        return {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}

    @property
    def options(self) -> dict[str, Any]:
        """All other options that were given."""
        return dict(self.model_extra or {})


class TrainSettings(Section):
    """How a network is trained. Its length is `steps`, the same for any number of labels, or `epochs`, never both.

    With a fixed number of epochs a network of few labels is also trained for fewer steps, so that what more labels
    bring and what longer training brings cannot be told apart.
    """

    steps: int | None = Field(
        None,
        ge=1,
        description=(
            "length of a training in optimizer steps, the same for any number of labels; null = by epochs, "
            "or 1000 where that is null too"
        ),
    )
    epochs: int | None = Field(
        None, ge=1, description="length of a training in passes over the labelled images; null = by steps"
    )
    validations: int = Field(20, ge=1, description="with steps: how many times validation is measured, evenly spaced")
    batch_size: int = Field(64, ge=2, description="images in an optimizer step")
    optimizer: Literal["adam", "adamw"] = Field("adam", description="how gradients become steps")
    lr: float = Field(1e-3, gt=0, description="learning rate at the start")
    weight_decay: float = Field(0.0, ge=0, description="weight decay: an L2 penalty with adam, decoupled with adamw")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description=(
            "backbones only: factor on the learning rate from each block to the one before it; 1 = the same everywhere"
        ),
    )
    schedule: Literal["plateau", "cosine", "constant"] = Field(
        "plateau",
        description=(
            "learning rate over time: plateau = lowered when the validation loss stalls, cosine = falls to 0, constant"
        ),
    )
    plateau_factor: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="schedule plateau: what the learning rate is multiplied by when the validation loss stalls",
    )
    plateau_patience: int = Field(
        3, ge=0, description="schedule plateau: validations without a lower validation loss that are waited for"
    )
    monitor: Literal["macro_f1", "accuracy", "loss", "none"] = Field(
        "macro_f1", description="validation figure by which the best weights are kept; none = the last weights are kept"
    )
    patience: int = Field(
        0,
        ge=0,
        description="validations without a better monitored figure after which training stops; 0 = never stops early",
    )
    mixup: float = Field(
        0.0, ge=0, description="a of the Beta(a, a) distribution that two images are mixed by; 0 = off"
    )
    cutmix: float = Field(
        0.0, ge=0, description="a of the Beta(a, a) distribution of the area that is cut in from another image; 0 = off"
    )
    clip_norm: float = Field(0.0, ge=0, description="gradients are scaled down to this norm; 0 = no clipping")
    mean: float = Field(0.5, description="subtracted from pixels, which are in 0..1")
    std: float = Field(0.5, gt=0, description="what pixels are divided by after that")
    augment: AugmentSettings | None = Field(
        default_factory=AugmentSettings, description="random changes of training images; null = none"
    )
    views: int = Field(
        0,
        ge=0,
        le=100,
        description="model.tune frozen only: number of varied copies of each training image whose features are kept",
    )
    originals: float | None = Field(
        None,
        gt=0,
        le=1,
        description=(
            "with views: probability that a training step sees the image itself instead of a copy; null = as "
            "often as each copy"
        ),
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
