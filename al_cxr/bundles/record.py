"""What a model bundle says of itself. Plain numbers, read and written without torch.

BUNDLE/bundle.json                 BundleRecord
BUNDLE/README.md                   the model card, for people
BUNDLE/members/1/                  one network: fit.json, model.json, model.safetensors; more in an ensemble
BUNDLE/seen.sha256                 hashes of the images it was trained on or chosen by
BUNDLE/validation.safetensors      what it said of the validation images, and their labels: thresholds come from these
BUNDLE/usual.safetensors           what its training images look like on the whole: whether another is like them
BUNDLE/SHA256SUMS                  a hash of every other file, as `sha256sum -c` reads it
"""

from __future__ import annotations

from math import nan
from typing import Annotated, Literal

from pydantic import Field, model_validator

from al_cxr.core import enough
from al_cxr.core.metrics import Metrics
from al_cxr.core.records import DataCard, Record
from al_cxr.evaluation.intervals import clopper_pearson
from al_cxr.evaluation.operating import doubts

BUNDLE, CARD, SUMS, MEMBERS = "bundle.json", "README.md", "SHA256SUMS", "members"
VALIDATION = "validation.safetensors"
MOST_MEMBERS = 64
UNPROVEN = (
    "An adaptation can make a model better or worse, and only labels from there can tell which: on radiographs of a "
    "hospital that it had never seen, the best model of tuberculosis fell from AUC 0.864 to 0.852 and from 74 to 59 % "
    "specificity (sensitivity 80 to 86 %), where others gained. Test it as trained and as adapted on labelled images "
    "of that hospital (al-cxr evaluate) before you use either"
)
"""To be said wherever a model is adapted without labels (al_cxr.models.adaptation)."""
SIDES = (28, 1024)
"""Smallest and largest image side, pixels, as in the settings of an experiment."""

LARGEST = "the largest probability"
"""What decides where there is no threshold."""

Share = Annotated[float, Field(ge=0, le=1)]


def columns(record: BundleRecord) -> dict[str, str]:
    """The columns of the CSV that `predict` writes, in their order, and what stands in each. There is one decision."""
    target, d = record.target, record.decision
    by = (
        LARGEST if d.threshold is None else f"{target} where P({target}) >= {d.threshold:.4f}, else the likeliest other"
    )
    known = "empty, for there is no threshold" if d.threshold is None else f"1 where predicted is {target}, else 0"
    return {
        "path": "the image",
        **{f"p_{name}": f"calibrated probability of {name}, 0 to 1" for name in record.classes},
        "predicted": f"the class that is decided on: {by}",
        "entropy": "of the probabilities, nats: 0 is certain",
        "mutual_information": "how far members or Monte-Carlo passes disagree, nats; empty where there are none",
        f"is_{target}": known,
        "abstain": f"1 where the largest probability is below {record.abstention.confidence:.4f}, or a note "
        "says why: leave it to a person",
        "decided_by": "what was decided by: the threshold, or the largest probability where there is none",
        "unlike": "share of the validation images that are less unlike the training images, 0 to 1: near 1, the image "
        "is of another kind; empty where the bundle does not know",
        "note": "why the image is no upright frontal chest radiograph to look at, if so; then abstain is 1",
    }


class Interval(Record):
    """An estimate and its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Decision(Record):
    """The target is answered "yes" where its calibrated probability is at least `threshold`; chosen on validation."""

    goal: str
    """What the threshold had to reach on validation, in words."""
    threshold: Share | None
    """None where the goal could not be reached; `note` says why."""
    note: str
    val_sensitivity: Share | None
    val_specificity: Share | None


class Abstention(Record):
    """No answer is given where the largest calibrated probability is below `confidence`; chosen on validation."""

    coverage: Share
    """Share of the validation images that had to be answered."""
    confidence: Share
    val_coverage: Share
    """Share that was answered: more than asked for where confidences are equal."""
    val_accuracy: Share
    """Of the answered images."""


class Tested(Record):
    """The calibrated model on the test split, which no choice has seen."""

    metrics: Metrics
    intervals: dict[str, Interval]
    """accuracy, macro_f1, f1, roc_auc, ece, ece_uncalibrated, nll; sensitivity, specificity, coverage,
    answered_accuracy. f1, roc_auc, sensitivity and specificity are the target's."""
    patients: bool
    """Whether the bootstrap drew whole patients; otherwise single images."""


class Adapted(Record):
    """The heads standardise by the features of images from where the bundle is used (al_cxr.models.adaptation)."""

    images: int = Field(ge=1)
    """Without labels."""
    skipped: int = Field(ge=0)
    """Images there that could not be read."""
    members: int = Field(ge=1)
    """Members that were adapted; the others are as they were trained."""


class Network(Record):
    """A member, and what it wants of an image: 0..1 minus `mean`, divided by `std`, in 1 channel or in 3 alike."""

    arch: str
    in_channels: Literal[1, 3]
    mean: Annotated[float, Field(allow_inf_nan=False)]
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BundleRecord(Record):
    version: Literal[2]
    name: str
    classes: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=2, max_length=1000)]
    target: str
    image_size: int = Field(ge=SIDES[0], le=SIDES[1])
    networks: Annotated[list[Network], Field(min_length=1, max_length=MOST_MEMBERS)]
    """The members, in the order of their folders."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    temperature_note: str
    decision: Decision
    abstention: Abstention
    uncertainty: Literal["members", "passes", "none"]
    """Where the mutual information comes from: the ensemble's members, Monte-Carlo passes, or it has none."""
    passes: int = Field(ge=2, le=1000)
    """Monte-Carlo passes an image, where there are any."""
    random_sites: list[str]
    data: DataCard
    n_labelled: list[int]
    """Labelled training images of each member."""
    command: str
    """Of the experiment, as are the commit and the versions."""
    commit: str
    versions: dict[str, str]
    val_images: int
    tested: Tested
    """Before any adaptation."""
    adapted: Adapted | None = None

    @model_validator(mode="after")
    def _consistent(self) -> BundleRecord:
        if self.target not in self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {self.classes} with the target {self.target!r}")
        if (self.uncertainty == "members") != (self.members > 1):
            raise ValueError(f"uncertainty from {self.uncertainty} in a bundle of {self.members} members")
        return self

    @property
    def members(self) -> int:
        return len(self.networks)

    @property
    def mix(self) -> str:
        """What an adaptation takes for granted of the images, in words (al_cxr.models.adaptation)."""
        counts = self.data.counts.get("train", {})
        share = counts.get(self.target, 0) / max(sum(counts.values()), 1)
        return (
            f"Adapting takes for granted that about as many of the images show {self.target} as in training "
            f"({100 * share:.0f} %). Adapted to people who are screened, of whom few are ill, a model flags many who "
            "are well: then do not adapt it, or adapt it to images of which as many are ill"
        )

    @property
    def cautions(self) -> list[str]:
        """What was chosen or measured on too few images, or could not be chosen at all; a sentence each."""
        val, test = self.data.counts.get("val", {}), self.data.counts.get("test", {})
        d, a = self.decision, self.abstention
        found = [note for note in (self.temperature_note, d.note) if note]
        if d.threshold is not None:
            ill = val.get(self.target, 0)
            shares = (nan if share is None else share for share in (d.val_sensitivity, d.val_specificity))
            found += doubts(self.target, ill, sum(val.values()) - ill, *shares)
        if 0 < self.val_images < enough.FEW:
            low, high = clopper_pearson(round(a.val_coverage * self.val_images), self.val_images)
            found.append(
                f"the level below which it abstains was chosen on {self.val_images} images: {100 * a.val_coverage:.0f} "
                f"% answered there could be {100 * low:.0f} to {100 * high:.0f} % elsewhere"
            )
        return [*found, *(said for said in enough.of_split("test", test) if said not in self.data.notes)]

    @property
    def archs(self) -> str:
        """The different architectures, in words."""
        return ", ".join(dict.fromkeys(network.arch for network in self.networks))
