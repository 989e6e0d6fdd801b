"""Several processes have one project open: nobody is lost, asked twice or in another's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelling_projects import begun, prepared, truth, write_archive

from al_cxr.api.labelling import LabellingProject
from al_cxr.core.errors import UserError
from al_cxr.labelling import worker


@pytest.mark.parametrize("strategy", ["entropy", "power_entropy"])
def test_an_archive_that_grows_in_another_process_is_asked_about_in_this_one(tmp_path: Path, strategy: str) -> None:
    write_archive(tmp_path / "a", 30)
    changes = {"acquisition": {"strategy": strategy, "first": 5}, "streams": {"audit": 0.1}}
    mine = prepared(begun(tmp_path, changes, tmp_path / "a"))
    for asked in mine.ask(20, "ann"):
        mine.tell(asked.question, truth(asked), "ann")
    assert mine.ask(2, "ann") and mine.chooser.model is not None
    other = LabellingProject.open(mine.folder, clock=mine._clock)
    write_archive(tmp_path / "a", 10, first=30)
    other.scan()
    given = {one.name for one in other.ask(15, "bob")}
    assert any(name >= "030.png" for name in given)
    mine.journal.refresh()  # as any answer does, before this process has looked at the archive again
    assert mine.status().images == 40
    assert not {one.name for one in mine.ask(20, "ann")} & given
    assert len(mine.archive) == 40 and mine.streams.reserved_N.shape == (40,)


def test_what_fails_beside_the_readers_is_said_to_who_asks_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAUSE", 0.01)
    project, prepare, times = begun(tmp_path), LabellingProject.prepare, []

    def fails_once(self: LabellingProject) -> int:
        times.append(1)
        if len(times) == 1:
            raise UserError("features: there is no room; free some space there")
        return prepare(self)

    monkeypatch.setattr(LabellingProject, "prepare", fails_once)
    with project.working():
        with pytest.raises(UserError, match="no room"):
            while True:
                project.ask(1, "ann")
        assert len(project.ask(1, "ann")) == 1
        while len(project.chooser.features.missing()):
            pass
    assert len(times) > 1
