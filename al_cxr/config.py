"""The settings of an experiment as frozen, validated objects.

Science settings (all sections but `machine`) change the result and are hashed; `machine` settings change only the speed
and are not. `al_cxr.experiment` reads them from YAML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator


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
    tune: Literal["all", "last", "frozen"] = Field(
        "all", description="what is trained: all, the last stages and the head, or the head on features of the rest"
    )
    tune_stages: int = Field(1, ge=1, description="last only: stages at the end of the backbone that are trained")

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
    layer_decay: float = Field(1.0, gt=0, le=1, description="backbones: factor on the rate a block nearer to the input")
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


class Regime(Section):
    """Another amount of labels for the same question: a budget, of which null leaves what `budget` says."""

    seed: float | None = Field(None, description="labels at the start, as in budget")
    query: float | None = Field(None, description="labels a round, as in budget")
    query_of: Literal["remaining", "train", "number"] | None = Field(None, description="as in budget")
    rounds: int | None = Field(None, description="queries, as in budget")

    def over(self, budget: Budget) -> Budget:
        """This regime laid over a budget; ValueError where the two make no valid one."""
        return Budget.model_validate(budget.model_dump() | self.model_dump(exclude_none=True))


class Scoring(Section):
    passes: int = Field(20, ge=2, description="T, Monte-Carlo-dropout passes an image")
    scope: Literal["all", "head"] = Field(
        "all", description="what is sampled: every random site, or those after the last convolution (features cached)"
    )
    masks: Literal["stratified", "independent"] = Field(
        "stratified", description="over the T passes: each unit dropped as often as it should, or by luck"
    )
    race: Literal["off", "capped", "budget"] = Field(
        "capped", description="off = T passes each; capped = fewer where the choice is clear; budget = T on average"
    )
    race_error: float = Field(0.02, ge=0, le=1, description="capped: share of the query that may differ, expected")
    race_limit: int = Field(200, ge=2, description="budget: passes of an image, at most")

    @model_validator(mode="after")
    def _ordered(self) -> Scoring:
        if self.race == "budget" and self.race_limit < self.passes:
            raise ValueError(f"race_limit {self.race_limit} is below passes ({self.passes}); raise it")
        return self


class Stop(Section):
    """When an arm asks for no more labels; decided from validation metrics and the pool, never from the test split."""

    rule: str = Field("budget", description="name in al_cxr.stopping; budget = all rounds")
    options: dict[str, int | float] = Field(default_factory=dict, description="of the rule")


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}$")]


class Arm(Section):
    strategy: str = Field(description="name in the registry of al_cxr.strategies, or a dotted modAL function")
    loss: str = Field(description="name under losses")


class Baseline(Section):
    loss: str = Field("cross_entropy", description="name under losses")


# -------------------------------------------------------------------------------------------------------------- search
Value = bool | int | float | str | None
"""Of a setting that is searched."""


class Dimension(Section):
    """What one setting may be in a search: low to high, or one of some choices."""

    low: int | float | None = Field(None, description="smallest value; whole numbers only, where both ends are whole")
    high: int | float | None = Field(None, description="largest value")
    log: bool = Field(False, description="drawn evenly on the logarithm")
    choices: list[Value] | None = Field(None, min_length=1, description="instead of low and high")

    @model_validator(mode="after")
    def _one_kind(self) -> Dimension:
        if (self.choices is None) == (self.low is None and self.high is None):
            raise ValueError("give low and high, or choices")
        if self.choices is None and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError("wants low < high")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("log wants low > 0")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> list[Value]:
        """Both ends, or all choices: if they are valid settings, so is what lies between."""
        return [self.low, self.high] if self.choices is None else list(self.choices)

    def holds(self, value: Value) -> bool:
        if self.choices is not None:
            return value in self.choices
        assert self.low is not None and self.high is not None
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def rounded(self, value: Value, digits: int) -> Value:
        """A number of a range with so many significant digits, still inside; anything else as it is."""
        if not isinstance(value, float) or self.low is None or self.high is None:
            return value
        return min(max(float(f"{value:.{digits}g}"), float(self.low)), float(self.high))


class Search(Section):
    """Hyper-parameters chosen on validation data with a stated budget; all arms then share them."""

    trials: int = Field(20, ge=1, description="settings that are tried; the first are those of the experiment")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=lambda: [100, 101], min_length=1, description="of each trial; none of the experiment's own"
    )
    labels: float = Field(0.30, gt=0, description="images trained on: <= 1 a share of the training set, else a number")
    objective: Literal["macro_f1", "target_f1", "loss"] = Field("macro_f1", description="on validation, of the mean")
    space: dict[str, Dimension] = Field(min_length=1, description="dotted name of a setting -> what it may be")

    @model_validator(mode="after")
    def _once(self) -> Search:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: a seed stands there twice")
        return self


# ------------------------------------------------------------------------------------------------------------- machine
class Ray(Section):
    """How the engine `ray` runs: the resources of a task, and where."""

    address: str | None = Field(None, description="of a running cluster, or auto; null = a Ray of this machine alone")
    cpus: float = Field(1.0, gt=0, description="CPUs a task asks for")
    gpus: float = Field(0.0, ge=0, description="GPUs a task asks for; a fraction shares one")
    shard: int = Field(4096, ge=1, description="a pool of more images than this is scored in parts of so many")


class Machine(Section):
    """Changes the speed, not the science; resolved once per experiment and kept, so that going on repeats the bits."""

    engine: Literal["local", "processes", "ray"] = Field("local", description="what runs are computed by")
    ray: Ray = Field(default_factory=Ray)
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto = the faster one, measured")
    score_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of Monte-Carlo passes; auto = the faster one, measured"
    )
    channels_last: bool = Field(True, description="memory layout of convolutions")
    threads: int = Field(0, ge=0, description="of torch; 0 = as many as cores")
    processes: int = Field(
        1, ge=1, le=256, description="runs at once with the engine processes, of `threads` threads each"
    )
    workers: int = Field(0, ge=0, description="decoding threads; 0 = as many as cores")
    score_batch: int = Field(256, ge=1, description="images a batch when scoring or evaluating")
    checkpoint_seconds: float = Field(60.0, ge=0, description="training state is saved at most this often")
    cache: str | None = Field(None, description="folder of the pixel store; null = the user's cache folder")


RESERVED = ("all", "arms", "baseline", "evaluations", "figures", "fits", "tables")
"""What no regime may be called: its folder lies beside these."""


class Settings(Section):
    """One experiment."""

    data: DataSettings
    model: ModelSettings = Field(default_factory=ModelSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    losses: dict[Name, LossSettings] = Field(
        default_factory=lambda: {"cross_entropy": LossSettings(kind="cross_entropy")}
    )
    budget: Budget = Field(default_factory=Budget)
    regimes: dict[Name, Regime] = Field(default_factory=dict)
    scoring: Scoring = Field(default_factory=Scoring)
    stop: Stop = Field(default_factory=Stop)
    arms: dict[Name, Arm] = Field(default_factory=dict)
    baseline: Baseline = Field(default_factory=Baseline)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default_factory=lambda: [0], min_length=1)
    search: Search | None = Field(None, description="of al-cxr search; it changes no result of a run")
    machine: Machine = Field(default_factory=Machine)

    @field_validator("arms", "regimes", mode="before")
    @classmethod
    def _without_null(cls, named: Any) -> Any:
        """In a file that extends another, null takes an inherited arm or regime away."""
        return {k: v for k, v in named.items() if v is not None} if isinstance(named, dict) else named

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for where, loss in [(f"arms.{n}", a.loss) for n, a in self.arms.items()] + [("baseline", self.baseline.loss)]:
            if loss not in self.losses:
                raise ValueError(f"{where}.loss: no loss {loss!r} under losses ({', '.join(self.losses)})")
        if self.model.tune == "frozen":
            self._fits_features()
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: a seed stands there twice")
        if self.search is not None and (shared := set(self.search.seeds) & set(self.seeds)):
            raise ValueError(f"search.seeds: {min(shared)} is a seed of the experiment too; choose others")
        for name, regime in self.regimes.items():
            if name in RESERVED:
                raise ValueError(f"regimes.{name}: this name is taken by a folder or an option; choose another")
            try:
                regime.over(self.budget)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join([f"regimes.{name}", *map(str, first["loc"])])
                raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
        return self

    def in_regime(self, name: str) -> Settings:
        """The same experiment with the budget of one of its regimes."""
        return self.model_copy(update={"budget": self.regimes[name].over(self.budget)})

    def _fits_features(self) -> None:
        for key, given, wanted in [
            ("augment", self.train.augment is not None, "null"),
            ("cutmix", self.train.cutmix > 0, "0"),
            ("layer_decay", self.train.layer_decay < 1, "1"),
        ]:
            if given:
                raise ValueError(f"train.{key}: model.tune frozen sees features and no pixels; set it to {wanted}")

    def science(self) -> dict[str, Any]:
        """Everything that changes the result of a run, as plain data."""
        return self.model_dump(mode="json", exclude={"machine", "search"})
