"""What a test set is too small, or too much of one patient, to say: in words, before any number."""

from __future__ import annotations

from al_cxr.comparison.finished import Finished

FEW = 20
"""Test images of the target, or others, below which one image moves a figure by 5 points or more."""
SHARE = 0.2
"""Of a split's images that one patient may have; the images of a patient are no independent evidence."""


def cautions(finished: Finished) -> list[str]:
    """One sentence a fault; none of a test set that can bear its figures."""
    target, data = finished.target, finished.experiment.data
    test = data.counts["test"]
    ill, said = test.get(target, 0), []
    for count, what in ((ill, target), (sum(test.values()) - ill, f"classes other than {target}")):
        if count == 0:
            said.append(f"The test set holds no image of {what}: F1, sensitivity or specificity mean nothing here.")
        elif count < FEW:
            said.append(
                f"The test set holds {count} image{'s' * (count != 1)} of {what}: one more right or wrong moves a "
                f"share of them by {100 / count:.0f} points. Large differences may be chance; add test images."
            )
    images = finished.images
    for split in () if images is None else ("train", "val", "test"):
        assert images is not None
        patients = images.loc[images["split"] == split, "patient_id"]
        counts = patients[patients != ""].value_counts()
        if len(counts) and counts.iloc[0] > 1 and counts.iloc[0] > SHARE * len(patients):
            said.append(
                f"Patient {counts.index[0]} has {counts.iloc[0]:,} of the {len(patients):,} {split} images "
                f"({100 * counts.iloc[0] / len(patients):.0f} %): "
                + (
                    "the figures are largely about this one patient, and so are their intervals"
                    if split == "test"
                    else "what is learnt or chosen there is largely about this one patient"
                )
                + ". Is the column of patients right?"
            )
    return said
