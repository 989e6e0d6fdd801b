"""What must be known of labels before they are used: who read what, when, how it was chosen, and what is not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from al_cxr.labelling.events import STREAMS
from al_cxr.labelling.readers import figures
from al_cxr.labelling.rows import Column, answer_table, label_table
from al_cxr.labelling.state import State
from al_cxr.labelling.verdicts import reads


def datasheet(state: State, title: str, head: tuple[int, str], files: Mapping[str, tuple[Column, ...]]) -> str:
    """The datasheet of a project's labels, in markdown. `head` is the log's; `files` are those that lie beside it, with
    their columns.

    References
    ----------
    Gebru et al. (2021): Datasheets for Datasets. Communications of the ACM 64. https://arxiv.org/abs/1803.09010
    """
    labels, answers = label_table(state), answer_table(state)
    parts = [
        f"# Labels of {title}",
        _labels(state),
        _chosen(labels),
        _readers(state, answers),
        _agreement(state, labels),
        _files(files),
        _origin(state, head),
    ]
    return "\n\n".join(parts) + "\n"


def _labels(state: State) -> str:
    labels, dropped = state.labels(), state.dropped()
    words = {
        "unsure": "no label: readers are unsure",
        "disagreed": "no label: readers disagree",
        "unread": "not read yet",
    }
    words |= {reason: f"no label: {reason}" for reason in sorted(dropped.values())}
    counts = Counter(dropped.get(name, image.verdict.status) for name, image in state.images.items())
    of_class = Counter(labels.values())
    rows = [(name, f"{of_class[name]:,}") for name in state.settings.get("classes", sorted(of_class))]
    rows += [(said, f"{counts[status]:,}") for status, said in words.items() if counts[status]]
    title = f"{len(labels):,} of {len(state.images):,} images have a label."
    return "\n".join([title, "", *_table(("what readers said", "images"), rows)])


def _chosen(labels: pd.DataFrame) -> str:
    counts = Counter(labels["stream"])
    rows = [(name, meaning, f"{counts[name]:,}") for name, meaning in STREAMS.items() if counts[name]]
    return "\n".join(
        [
            "## How the images were chosen",
            "",
            *_table(("stream", "what it means", "labels"), rows),
            "",
            "Only the audit is a random sample of the archive: shares of classes, and figures of a model, that are",
            "taken from all labels are not those of the archive. `q` is the probability with which an image was",
            "chosen, given what was known then.",
        ]
    )


def _readers(state: State, answers: pd.DataFrame) -> str:
    rows = []
    for name in state.readers:
        of = figures(state, name)
        times = sorted(answers.loc[answers["reader"] == name, "time"])
        seconds = "not measured" if of.median_seconds is None else f"{of.median_seconds:.1f}"
        rows.append((name, f"{of.answers:,}", seconds, f"{times[0]} to {times[-1]}" if times else "never"))
    return "\n".join(
        ["## Who read", "", *_table(("reader", "answers", "median active seconds", "from, to (UTC)"), rows)]
    )


def _agreement(state: State, labels: pd.DataFrame) -> str:
    audited = [
        image for image in state.images.values() if any(q.stream == "audit" and q.closed for q in image.questions)
    ]
    votes = [[outcome.vote for outcome in reads(image.questions).values() if outcome.vote] for image in audited]
    twice = [each for each in votes if len(each) >= 2]
    equal = sum(len(set(each)) == 1 for each in twice)
    lines = ["## How sure the labels are", ""]
    if twice:
        lines.append(f"Of the audit's images {len(twice):,} were read by two or more; on {equal:,} of these all agree.")
    else:
        lines.append("No image of the audit was read by two: nothing says how often another reader would disagree.")
    if decided := int(labels["adjudicated"].sum()):
        lines.append(f"A third reader decided on {decided:,} labels.")
    lines.append(f"Where readers disagree, an image has the label that the policy `{state.policy}` gives it.")
    return "\n".join(lines)


def _files(files: Mapping[str, tuple[Column, ...]]) -> str:
    parts = ["## Files"]
    for name, columns in files.items():
        parts.append(
            "\n".join([f"`{name}`:", "", *_table(("column", "what it says"), [(c.name, c.meaning) for c in columns])])
        )
    return "\n\n".join(parts)


def _origin(state: State, head: tuple[int, str]) -> str:
    number, digest = head
    first = next(iter(state.questions.values()), None)
    began = f"The first question was asked at {first.served:%Y-%m-%dT%H:%M:%SZ}. " if first else ""
    return (
        "## Where they come from\n\n"
        f"From the event log of the project, up to event {number:,}, whose hash is `{digest}`.\n"
        f"{began}As long as event and hash are there, nothing before it was changed."
    )


def _table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> list[str]:
    """A table in markdown; a cell cannot end it."""
    lines = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in [header, *rows]]
    return [f"| {lines[0]} |", f"|{' --- |' * len(header)}", *(f"| {line} |" for line in lines[1:])]
