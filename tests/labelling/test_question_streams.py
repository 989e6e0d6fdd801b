"""Which question comes next: shares, what is set aside, and what a reader cannot tell."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from labelling_projects import begun, truth, write_archive

from al_cxr.api.labelling import LabellingProject
from al_cxr.labelling.answers import Answer
from al_cxr.labelling.archive import Archive, Image
from al_cxr.labelling.settings import ArchiveSettings, project_settings
from al_cxr.labelling.streams import Streams, audited

SHARES = {"audit": 0.25, "second": 0.1, "repeat": 0.1, "gap": 3}


def _streams(seed: int, patients: list[str]) -> Streams:
    archive = Archive(ArchiveSettings(source="phantom:30"))
    archive.images = [Image(f"{i:064x}", f"{i}.png", patient, 1, 1) for i, patient in enumerate(patients)]
    given = {"archive": {"source": "phantom:30"}, "classes": ["a", "b"], "target": "b", "seed": seed}
    return Streams(project_settings(given | {"streams": SHARES}, "test"), archive)


def _read(project: LabellingProject, reader: str, n: int) -> None:
    for _ in range(n):
        (asked,) = project.ask(1, reader)
        project.tell(asked.question, truth(asked), reader)


def test_the_streams_have_their_shares_in_a_random_order() -> None:
    streams = _streams(0, ["p"] * 30)
    turns = [streams.stream_of(turn) for turn in range(4000)]
    counts = Counter(turns)
    for stream, share in {"audit": 0.25, "second": 0.1, "repeat": 0.1, "acquisition": 0.55}.items():
        assert abs(counts[stream] / 4000 - share) < 4 * np.sqrt(0.25 / 4000)
    after_audit = [b == "audit" for a, b in pairwise(turns) if a == "audit"]
    assert abs(np.mean(after_audit) - 0.25) < 0.06, "a turn does not tell the next"


def test_all_images_of_a_patient_are_set_aside_or_none_and_growing_changes_nobody() -> None:
    patients = [f"p{i % 100}" for i in range(300)]
    few, many = _streams(3, patients), _streams(3, [*patients, *(f"q{i}" for i in range(200))])
    assert np.array_equal(few.reserved_N, many.reserved_N[:300])
    assert len({(p, bool(aside)) for p, aside in zip(patients, few.reserved_N, strict=True)}) == 100
    assert 0.1 < few.reserved_N.mean() < 0.4


def test_patients_are_audited_uniformly_at_random() -> None:
    """Over seeds, each of 30 patients is set aside and asked for first equally often."""
    first = Counter()
    for seed in range(3000):
        streams = _streams(seed, [f"p{i}" for i in range(30)])
        first[int(np.flatnonzero(streams.rank_N == 0)[0]) if streams.reserved_N.any() else -1] += 1
    often = np.array([first[i] for i in range(30)])
    assert ((often - 100) ** 2 / 100).sum() < 60, "chi-squared of 29 degrees of freedom, p > 0.0005"


def test_nothing_of_the_audit_is_ever_trained_on_and_each_patient_is_asked_about_once(tmp_path: Path) -> None:
    project = begun(tmp_path, {"streams": SHARES})
    while project.prepare():
        pass
    _read(project, "ann", 60)
    streams, state = project.streams, project.journal.state
    known = project.chooser.known(state, streams)
    assert len(known.index_M) and not streams.reserved_N[known.index_M].any()
    audit = audited(state, project.archive, streams)
    at = [project.archive.index_of[q.image] for q in audit]
    assert streams.reserved_N[at].all() and len({project.archive.patients[i] for i in at}) == len(at) > 3
    assert [streams.rank_N[i] for i in at] == sorted(streams.rank_N[at]), "in the order that was drawn"
    asked = Counter(q.image for q in state.questions.values() if q.stream != "repeat")
    assert max(asked.values()) == 1


def test_second_reads_and_repeats_are_of_audited_images_and_of_the_right_reader(tmp_path: Path) -> None:
    project = begun(tmp_path, {"streams": SHARES})
    _read(project, "ann", 40)
    _read(project, "bob", 40)
    questions = list(project.journal.state.questions.values())
    second = [q for q in questions if q.stream == "second"]
    repeats = [q for q in questions if q.stream == "repeat"]
    audit = {q.image: q.reader for q in questions if q.stream == "audit"}
    assert second and all(audit[q.image] == "ann" and q.reader == "bob" for q in second)
    assert repeats and all(q.image in audit for q in repeats)
    for repeat in repeats:
        own = [q for q in questions if q.reader == repeat.reader]
        earlier = next(q for q in own if q.image == repeat.image)
        assert own.index(repeat) - own.index(earlier) >= SHARES["gap"]


def test_what_is_asked_says_nothing_of_its_stream(tmp_path: Path) -> None:
    project = begun(tmp_path, {"streams": SHARES})
    asked = project.ask(30, "ann")
    assert {"audit", "seed"} <= {q.stream for q in project.journal.state.questions.values()}
    assert all(set(vars(one)) == {"question", "reader", "name", "earlier"} and not one.earlier for one in asked)
    assert len({len(one.question) for one in asked}) == 1


def test_every_question_to_learn_from_or_to_test_on_has_its_q(tmp_path: Path) -> None:
    project = begun(tmp_path)
    project.ask(90, "ann")
    questions = project.journal.state.questions.values()
    assert len(questions) > 60 and all(q.q is not None and 0 < q.q <= 1 for q in questions)


def test_two_readers_are_never_given_the_same_image_but_for_a_second_read(tmp_path: Path) -> None:
    project = begun(tmp_path)
    ann, bob = project.ask(20, "ann"), project.ask(20, "bob")
    assert not {one.name for one in ann} & {one.name for one in bob}


def test_what_a_reader_skips_is_for_others(tmp_path: Path) -> None:
    write_archive(tmp_path / "a", 6)
    project = begun(tmp_path, {"streams": {"audit": 0.05}}, tmp_path / "a")
    mine = project.ask(9, "ann")
    project.tell_all([Answer(one.question, "skip") for one in mine], "ann")
    assert project.ask(9, "ann") == []
    assert {one.name for one in project.ask(9, "bob")} == {one.name for one in mine}
