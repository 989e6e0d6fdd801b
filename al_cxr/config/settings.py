"""One experiment."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from al_cxr.config.baseline import Baseline, Variant
from al_cxr.config.data import DataSettings
from al_cxr.config.labelling import Arm, Budget, Name, Regime, Scoring, Stop
from al_cxr.config.machine import Machine
from al_cxr.config.search import Search
from al_cxr.config.section import Section
from al_cxr.config.training import LossSettings, ModelSettings, TrainSettings
from al_cxr.core.invalid import reasons
from al_cxr.core.nearest import hint

RESERVED = ("all", "arms", "baseline", "evaluations", "figures", "fits", "tables")
"""What no regime may be called: its folder lies beside these."""


class Settings(Section):
    """One experiment."""

    data: DataSettings = Field(description="the radiographs, their classes and their splits")
    model: ModelSettings = Field(default_factory=ModelSettings, description="the network")
    train: TrainSettings = Field(default_factory=TrainSettings, description="how a network is trained")
    losses: dict[Name, LossSettings] = Field(
        default_factory=lambda: {"cross_entropy": LossSettings(kind="cross_entropy")},
        description="loss functions by a name of your own, which arms and the baseline refer to",
    )
    budget: Budget = Field(
        default_factory=Budget, description="how many labels there are at the start, and how many each round adds"
    )
    regimes: dict[Name, Regime] = Field(
        default_factory=dict, description="the same experiment with other budgets, by a name of your own"
    )
    scoring: Scoring = Field(default_factory=Scoring, description="how the unlabelled images are scored before a query")
    stop: Stop = Field(default_factory=Stop, description="when an arm asks for no more labels")
    arms: dict[Name, Arm] = Field(
        default_factory=dict, description="what is compared: a strategy with a loss, by a name of your own"
    )
    baseline: Baseline = Field(
        default_factory=Baseline,
        description="the reference that is trained on all labels, and the models of al-cxr baseline",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=lambda: [0, 1, 2],
        min_length=1,
        description="random seeds, 0 or more; every arm is run once with each",
    )
    search: Search | None = Field(None, description="what al-cxr search may try; it changes no result of a run")
    machine: Machine = Field(
        default_factory=Machine, description="where and how fast it is computed; changes no result beyond its last bits"
    )

    @field_validator("arms", "regimes", mode="before")
    @classmethod
    def _without_null(cls, named: Any) -> Any:
        """In a file that extends another, null takes an inherited arm or regime away."""
        return {k: v for k, v in named.items() if v is not None} if isinstance(named, dict) else named

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for where, loss in [(f"arms.{n}", a.loss) for n, a in self.arms.items()] + [("baseline", self.baseline.loss)]:
            if loss not in self.losses:
                raise ValueError(f"{where}.loss: no loss {loss!r} under losses{hint(loss, self.losses)}")
        if self.model.tune == "frozen":
            self._fits_features()
        elif self.train.views:
            raise ValueError(f"train.views: model.tune {self.model.tune} varies every image anew; set it to 0")
        if self.model.feature_engine != "torch" and self.model.tune != "frozen":
            raise ValueError(
                f"model.feature_engine: {self.model.feature_engine} computes features once an image, which only "
                "model.tune frozen does; leave it out"
            )
        if again := [seed for i, seed in enumerate(self.seeds) if seed in self.seeds[:i]]:
            raise ValueError(f"seeds: {again[0]} is given twice; delete one of them")
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
                raise ValueError(f"{where}: {reasons([first])}") from None
        return self

    def in_regime(self, name: str) -> Settings:
        """The same experiment with the budget of one of its regimes."""
        return self.model_copy(update={"budget": self.regimes[name].over(self.budget)})

    def of_model(self, name: str) -> Settings:
        """The same experiment without arms and with another model: an architecture, or one of `baseline.models`."""
        variant = self.baseline.models.get(name, Variant(arch=name))
        arguments = {**self.model.options.get(variant.arch, {}), **variant.options}
        options = {**self.model.options, variant.arch: arguments}
        model = self.model.model_copy(update={"arch": variant.arch, "options": options})
        return self.model_copy(update={"model": model, "arms": {}})

    def _fits_features(self) -> None:
        if (self.train.augment is None) != (self.train.views == 0):
            raise ValueError(
                "train.augment: model.tune frozen computes the features of an image once; set it to null, or give the "
                "number of varied copies of each image in train.views"
            )
        for key, given, wanted in [
            ("cutmix", self.train.cutmix > 0, "0"),
            ("layer_decay", self.train.layer_decay < 1, "1"),
        ]:
            if given:
                raise ValueError(f"train.{key}: model.tune frozen sees features and no pixels; set it to {wanted}")

    def science(self) -> dict[str, Any]:
        """Everything that changes the result of a run, as plain data."""
        return {key: value for key, value in self.record().items() if key != "search"}

    def record(self) -> dict[str, Any]:
        """What a run writes down of its settings, as plain data: `science`, and how its settings were searched for,
        which changes no result but is a part of what it cost."""
        told = {"models", "published"}  # other models and their figures, which a run of this one does not depend on
        return self.model_dump(mode="json", exclude={"machine": True, "baseline": told})
