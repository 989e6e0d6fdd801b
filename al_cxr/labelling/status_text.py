"""A project's status as lines for a person: what is measured first, then what is a hint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from al_cxr.evaluation.audit import Figure
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.status import Status

RULE = "each interval holds for this model in 95 of 100 projects, whenever and however often one looks"


def lines_of(status: Status, settings: ProjectSettings) -> list[str]:
    """As `al-cxr label status` prints them."""
    return [*_labelled(status), *_model(status, settings), *_stop(status, settings), *_readers(status)]


def _labelled(s: Status) -> Iterator[str]:
    lost = f" · {s.images - s.present:,} no longer there" if s.images > s.present else ""
    looked = "" if s.features >= s.present else f" · the network has looked at {s.features:,}"
    yield f"archive   {s.present:,} images{lost}{looked}"
    counts = " · ".join(f"{count:,} {name}" for name, count in s.labelled.items())
    yield f"labelled  {sum(s.labelled.values()):,} images: {counts}"
    names = {"skipped": "skipped", "unsure": "unsure", "unreadable": "unreadable", "not_frontal_chest": "not frontal"}
    if s.other:
        yield f"          beside them {' · '.join(f'{count:,} {names[kind]}' for kind, count in s.other.items())}"
    if s.streams:
        yield f"streams   {' · '.join(f'{count:,} {name}' for name, count in s.streams.items())}"
    if s.disagreed:
        yield f"warning   readers disagree on {s.disagreed:,} images, which have no label until a third decided"


def _model(s: Status, settings: ProjectSettings) -> Iterator[str]:
    if not s.model:
        yield "model     none yet: it needs labels of two classes, of images that the network has looked at"
        return
    yield f"model     {s.model}, trained on {s.trained_on:,} labels, none of them of the audit"
    missing = f"; {sum(s.not_audited.values()):,} more have no label" if s.not_audited else ""
    yield f"audit     {s.audited:,} images of {s.aside:,} patients that are set aside{missing}"
    if not s.figures:
        return
    for name, figure in s.figures.items():
        what = f"{name} ({settings.target})" if name in ("prevalence", "sensitivity", "specificity", "auc") else name
        if name == "elusion":
            what = f"{settings.target} among the rest"
        yield f"  {what:<28} {shown(figure)}"
    yield f"          {RULE}"
    others = {f"{name}, with chosen": of for name, of in s.weighted.items() if name != "accuracy"}
    if "accuracy" in s.weighted:
        others["right on target or not"] = s.weighted["accuracy"]
    others |= {"prevalence, with predictions": s.prevalence} if s.prevalence else {}
    others |= {"accuracy less random labels": s.chosen_less_random} if s.chosen_less_random else {}
    if known := {name: of for name, of in others.items() if math.isfinite(of.value)}:
        yield "beside    estimates that use more labels; their intervals are right for one look that was planned"
        for name, figure in known.items():
            yield f"  {name:<28} {shown(figure, signed=name.endswith('random labels'))}"


def _stop(s: Status, settings: ProjectSettings) -> Iterator[str]:
    goal = f"{settings.goal.figure} of {settings.goal.at_least:g} or more"
    if s.certified is not None:
        newer = "" if s.certified["model"] == s.model else "; newer models have not been examined"
        yield (
            f"goal      {goal}: certified for model {s.certified['model']} by an exam on {s.certified['size']:,} "
            f"audited images (at least {100 * s.certified['low']:.1f} %){newer}. You may stop"
        )
    else:
        coming = f"; the next exam is at {s.exams[0]:,} audited images of its kind" if s.exams else ""
        never = "" if s.exams else "; the audit is too small to certify it: more patients, or a lower goal"
        yield f"goal      {goal}: not certified{coming}{never}"
        if s.until_certified is not None:
            yield f"hint      a model as good as this one looks passes with about {s.until_certified:,} such images"
    if s.needed is not None and s.model:
        if s.needed.value <= s.trained_on:
            yield "hint      the learning curve is there already: audited images are missing, not labels to learn from"
        elif math.isfinite(s.needed.value):
            high = f"{s.needed.high:,.0f}" if math.isfinite(s.needed.high) else "many more"
            yield (
                f"hint      the learning curve reaches it at about {s.needed.value:,.0f} labels to learn from "
                f"({s.needed.low:,.0f} to {high}); there are {s.trained_on:,}"
            )
        else:
            yield f"hint      how many more labels it takes is not known: {s.needed.why}"
    if s.hours is not None and s.hours.value > 0 and math.isfinite(s.hours.value):
        high = f"{s.hours.high:.1f}" if math.isfinite(s.hours.high) else "many more"
        yield f"hint      that is about {s.hours.value:.1f} hours of reading ({s.hours.low:.1f} to {high})"
    if s.doubtful:
        yield (
            f"hint      {s.doubtful:,} labels look wrong to models that have not learned from them; "
            "`al-cxr label ask --doubtful` has them read again"
        )
    if s.stable is not None:
        yield f"hint      the last three trainings changed {'next to no' if s.stable else 'some'} predictions"


def _readers(s: Status) -> Iterator[str]:
    for name, of in s.readers.items():
        time = "" if of["median_seconds"] is None else f" · {of['median_seconds']:.1f} s an image"
        count = sum(n for kind, n in of["outcomes"].items() if kind != "skipped")
        yield f"reader    {name}: {count:,} answers{time}"
    yield from _agreement("agreement of two readers", s.agreement)
    yield from _agreement("agreement with oneself", s.repeats)
    if s.ceiling is not None and math.isfinite(s.ceiling.value):
        yield f"  {'a perfect model would reach':<28} {shown(s.ceiling)}"


def _agreement(title: str, figures: Mapping[str, Figure]) -> Iterator[str]:
    known = {name: of for name, of in figures.items() if math.isfinite(of.value)}
    if known:
        yield f"readers   {title}, on images asked at random"
        for name, figure in known.items():
            yield f"  {name:<28} {shown(figure, share=name not in ('kappa', 'ac1'))}"


def shown(figure: Figure, share: bool = True, signed: bool = False) -> str:
    """`91.2 % (84.0 to 96.1 %), 120 images`; why there is no value where there is none."""
    if not math.isfinite(figure.value):
        return f"not known: {figure.why}" if figure.why else "not known"
    if not (math.isfinite(figure.low) and math.isfinite(figure.high)):
        value = f"{100 * figure.value:.1f} %" if share else f"{figure.value:.2f}"
        return f"{value}, {figure.n:,} images, without an interval: all answers are alike"
    if not share:
        return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f}), {figure.n:,} images"
    sign = "+" if signed else ""
    low, high = (f"{100 * bound:{sign}.1f}" for bound in (figure.low, figure.high))
    why = f"; {figure.why}" if figure.why else ""
    return f"{100 * figure.value:{sign}.1f} % ({low} to {high} %), {figure.n:,} images{why}"
