"""The settings of an experiment as frozen, validated objects.

Science settings (all sections but `machine`) change the result and are hashed; `machine` settings change only the speed
and are not. `al_cxr.experiment` reads them from YAML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Section(BaseModel):
    """A part of the settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ---------------------------------------------------------------------------------------------------------------- data
class FolderSource(Section):
    """One folder a class, optionally below train/val/test (the layout of the Kaggle chest X-ray sets)."""

    kind: Literal["folder"]
    path: str = Field(description="folder that holds the class folders or the split folders")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")


class ManifestSource(Section):
    """A CSV with the columns path and label, and optionally split, patient_id, source and any others."""

    kind: Literal["manifest"]
    path: str = Field(description="the CSV file")
    root: str | None = Field(None, description="folder the paths are relative to; null = the CSV's own folder")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")


class MedmnistSource(Section):
    """A 2-D single-label MedMNIST set through the medmnist package."""

    kind: Literal["medmnist"]
    flag: str = Field("pneumoniamnist", description="name of the set, e.g. pneumoniamnist")
    pixels: Literal[28, 64, 128, 224] = Field(64, description="side of the stored images, in pixels")
    root: str | None = Field(None, description="folder that holds the .npz files; null = the package's own")
    download: bool = Field(False, description="fetch the file when it is not there")


class PhantomSource(Section):
    """The embedded synthetic radiographs, made from a seed."""

    kind: Literal["phantom"]
    count: int = Field(2000, ge=30, le=1_000_000, description="images over all splits")
    seed: int = Field(0, ge=0, description="which patients are made")
    difficulty: float = Field(0.5, ge=0, le=1, description="0 = textbook cases, 1 = many truly ambiguous")


Source = Annotated[FolderSource | ManifestSource | MedmnistSource | PhantomSource, Field(discriminator="kind")]


class DataSettings(Section):
    sources: list[Source] = Field(min_length=1, description="tried in order; the first that is there is used")
    image_size: int = Field(64, ge=28, le=1024, description="side every image is resized to, in pixels")
    target: str = Field("tuberculosis", description="class whose F1 is followed")
    val_fraction: float = Field(0.1, gt=0, lt=0.5, description="of the patients, where the source has no val split")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="of the patients, where the source has no test split")
    split_seed: int = Field(0, ge=0, description="which patients go where, when a split has to be made")


# --------------------------------------------------------------------------------------------------------------- model
class ModelSettings(Section):
    arch: str = Field("cnn", description="name in the registry of al_cxr.models")
    in_channels: Literal[1, 3] = Field(1, description="1 = grey, 3 = the grey channel repeated")
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="architecture -> its keyword arguments; only those of `arch` are used"
    )

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the architecture in use."""
        return dict(self.options.get(self.arch, {}))


# --------------------------------------------------------------------------------------------------------------- train
class AugmentSettings(Section):
    """Random per image; geometry is one affine map and one interpolation."""

    horizontal_flip: float = Field(0.5, ge=0, le=1, description="probability")
    rotation: float = Field(10.0, ge=0, le=180, description="largest angle, degrees")
    translation: float = Field(0.05, ge=0, le=0.5, description="largest shift, fraction of the side")
    crop_scale: tuple[float, float] = Field((0.9, 1.0), description="area of the resized crop, fraction of the image")
    brightness: float = Field(0.1, ge=0, le=1, description="factor drawn from 1 - b .. 1 + b")
    contrast: float = Field(0.1, ge=0, le=1, description="factor drawn from 1 - c .. 1 + c")

    @model_validator(mode="after")
    def _ordered(self) -> AugmentSettings:
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError("crop_scale wants 0 < low <= high <= 1")
        return self


class LossSettings(Section):
    kind: Literal["cross_entropy", "weighted", "focal"]
    gamma: float = Field(2.0, ge=0, description="focal only: weight (1 - p)^gamma")
    alpha: Literal["none", "balanced"] | list[float] = Field(
        "none", description="focal only: weight a class; balanced = inverse frequency in the labelled images, mean 1"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the label spread over all classes")


class TrainSettings(Section):
    epochs: int = Field(12, ge=1, description="most passes over the labelled images")
    batch_size: int = Field(64, ge=2, description="images a step")
    optimizer: Literal["adam", "adamw"] = Field("adam")
    lr: float = Field(1e-3, gt=0, description="learning rate at the start")
    weight_decay: float = Field(0.0, ge=0, description="L2 for adam, decoupled for adamw")
    schedule: Literal["plateau", "cosine", "constant"] = Field("plateau")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="factor on the rate when val loss stalls")
    plateau_patience: int = Field(3, ge=0, description="epochs without a better val loss before that")
    monitor: Literal["macro_f1", "accuracy", "loss"] = Field("macro_f1", description="val metric that is watched")
    patience: int = Field(0, ge=0, description="epochs without a better val metric before stopping; 0 = never")
    mixup: float = Field(0.0, ge=0, description="Beta(a, a) of mixup; 0 = off")
    cutmix: float = Field(0.0, ge=0, description="Beta(a, a) of cutmix; 0 = off")
    clip_norm: float = Field(0.0, ge=0, description="largest gradient norm; 0 = no clipping")
    mean: float = Field(0.5, description="subtracted from pixels in 0..1")
    std: float = Field(0.5, gt=0, description="pixels are divided by it after that")
    augment: AugmentSettings | None = Field(default_factory=AugmentSettings, description="null = off")


# -------------------------------------------------------------------------------------------------------------- budget
class Budget(Section):
    seed: float = Field(0.30, gt=0, description="labels at the start: <= 1 a share of the training set, else a number")
    query: float = Field(0.10, gt=0, description="labels a round, in the unit of query_of")
    query_of: Literal["remaining", "train", "number"] = Field(
        "remaining", description="fraction of the unlabelled pool, fraction of the training set, or a plain number"
    )
    rounds: int = Field(5, ge=0, description="queries; the seed model is round 0")

    @model_validator(mode="after")
    def _units(self) -> Budget:
        if self.query_of != "number" and self.query > 1:
            raise ValueError(f"query {self.query:g} is no fraction; write query_of: number for a number of images")
        if self.query_of == "number" and self.query != int(self.query):
            raise ValueError(f"query {self.query:g} is no whole number of images")
        return self


class Scoring(Section):
    passes: int = Field(20, ge=2, description="T, Monte-Carlo-dropout passes an image")


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}$")]


class Arm(Section):
    strategy: str = Field(description="name in the registry of al_cxr.strategies, or a dotted modAL function")
    loss: str = Field(description="name under losses")


class Baseline(Section):
    loss: str = Field("cross_entropy", description="name under losses")


# ------------------------------------------------------------------------------------------------------------- machine
class Machine(Section):
    """Changes the speed, not the science; resolved once per experiment and kept, so that going on repeats the bits."""

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto = the faster one, measured")
    channels_last: bool = Field(True, description="memory layout of convolutions")
    threads: int = Field(0, ge=0, description="of torch; 0 = as many as cores")
    processes: int = Field(1, ge=1, le=256, description="runs at once, each in a process with `threads` threads")
    workers: int = Field(0, ge=0, description="decoding threads; 0 = as many as cores")
    score_batch: int = Field(256, ge=1, description="images a batch when scoring or evaluating")
    checkpoint_seconds: float = Field(60.0, ge=0, description="training state is saved at most this often")
    cache: str | None = Field(None, description="folder of the pixel store; null = the user's cache folder")


class Settings(Section):
    """One experiment."""

    data: DataSettings
    model: ModelSettings = Field(default_factory=ModelSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    losses: dict[Name, LossSettings] = Field(
        default_factory=lambda: {"cross_entropy": LossSettings(kind="cross_entropy")}
    )
    budget: Budget = Field(default_factory=Budget)
    scoring: Scoring = Field(default_factory=Scoring)
    arms: dict[Name, Arm] = Field(default_factory=dict)
    baseline: Baseline = Field(default_factory=Baseline)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default_factory=lambda: [0], min_length=1)
    machine: Machine = Field(default_factory=Machine)

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for where, loss in [(f"arms.{n}", a.loss) for n, a in self.arms.items()] + [("baseline", self.baseline.loss)]:
            if loss not in self.losses:
                raise ValueError(f"{where}.loss: no loss {loss!r} under losses ({', '.join(self.losses)})")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: a seed stands there twice")
        return self

    def science(self) -> dict[str, Any]:
        """Everything that changes the result, as plain data."""
        return self.model_dump(mode="json", exclude={"machine"})
