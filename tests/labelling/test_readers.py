"""Readers have safe names, tokens that the log cannot give away, and figures of what they did."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import CLASSES, START, after, begun, says, served

from al_cxr.core.errors import UserError
from al_cxr.labelling.events import Event
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.log import EventLog
from al_cxr.labelling.readers import figures, hashed, matches, new_token, reader_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ann", "ann"),
        ("  Dr. Ann   O'Neill-Weiß ", "Dr. Ann O'Neill-Weiß"),
        ("ann\u200b", "ann"),
        ("rene\u0301", "ren\u00e9"),
        ("r2@ward.example", "r2@ward.example"),
    ],
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    assert reader_name(text) == name


@pytest.mark.parametrize(
    "text", ["", " ", "=1+1", "-ann", "@ann", "_ann", "../ann", "a/b", "<b>", "a,b", "a" * 65, '"']
)
def test_what_is_no_name_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^reader .*: a name begins with a letter or digit and has at most 64"
    ) as error:
        reader_name(text)
    assert "\n" not in str(error.value)


def test_a_name_that_differs_only_in_case_is_the_reader_who_is_known() -> None:
    assert reader_name("ANN", ["Ann", "ben"]) == "Ann" and reader_name("Cem", ["Ann"]) == "Cem"


def test_a_token_is_known_again_and_cannot_be_read_from_the_log(tmp_path: Path) -> None:
    token = new_token()
    journal = Journal(EventLog.create(tmp_path / "events.sqlite", {"classes": CLASSES}, START))
    journal.record(Event(kind="reader_added", time=START, reader="ann", detail={"token": hashed(token)}))
    journal.log.close()
    assert token.encode() not in (tmp_path / "events.sqlite").read_bytes()
    kept = Journal.open(tmp_path / "events.sqlite").state.readers["ann"].token
    assert kept is not None and matches(token, kept)
    assert not matches(token[:-1], kept) and not matches("", kept)
    assert hashed(token) != kept, "salted"
    assert new_token() != token


@pytest.mark.parametrize(
    "kept", ["", "scrypt", "scrypt$3$8$1$00$00", "md5$16384$8$1$00$00", "scrypt$x$8$1$00$00", "$" * 5]
)
def test_a_hash_that_is_none_matches_nothing(kept: str) -> None:
    assert not matches("token", kept)


def test_figures_of_a_reader_follow_answers_and_what_is_taken_back() -> None:
    state = begun(4)
    assert figures(state, "ann").answers == 0 and figures(state, "ann").median_seconds is None
    for n, (kind, label, seconds) in enumerate(
        [("answered", "normal", 4), ("answered", "tuberculosis", 9.5), ("unsure", None, 30), ("skipped", None, 500)]
    ):
        after(state, served(n, "ann", f"question-{n}"))
        after(state, says(state, f"question-{n}", kind, label, seconds))
    found = figures(state, "ann")
    assert found.outcomes == {"answered": 2, "unsure": 1, "skipped": 1} and found.answers == 3
    assert found.median_seconds == 9.5 and found.can_undo == 4
    after(state, says(state, "question-3", "undone"), says(state, "question-2", "undone"))
    assert figures(state, "ann").median_seconds == 6.75 and figures(state, "ann").can_undo == 2
    with pytest.raises(UserError, match="no reader 'eve' in this project"):
        figures(state, "eve")
