"""A project's model as a bundle: it answers as the project's head does, and its card says how it was tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelling_projects import begun, prepared
from safetensors.torch import save_file

import al_cxr
from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data.quality import usual


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that an oracle has read, with weights that lie in a file."""
    timm = pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")
    folder = tmp_path_factory.mktemp("labelled")
    torch.manual_seed(5)
    weights = folder / "tiny.safetensors"
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), weights)
    data = al_cxr.load_data("phantom:150")
    truth = {data.images.name(i): data.classes[data.labels_N[i]] for i in range(len(data))}
    changes = {"network": {"options": {"weights": str(weights)}}, "streams": {"audit": 0.3}}
    project = prepared(begun(folder, changes, "phantom:150"))
    for asked in project.ask(110, "ann"):
        project.tell(asked.question, truth[asked.name], "ann", 4000)
    project.learn()
    project.close()
    return folder


def test_the_bundle_answers_as_the_head_does_and_was_tested_on_the_audit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", "model", str(folder / "project"), str(folder / "mine")]) == 0
    assert "audited images, from which no model has learned" in capsys.readouterr().out
    bundle = al_cxr.open_bundle(folder / "mine")
    project = al_cxr.LabellingProject.open(folder / "project")
    status, model = project.status(), project.chooser.model
    assert model is not None and bundle.record.tested.metrics.n == status.audited
    assert bundle.record.tested.metrics.accuracy == pytest.approx(status.figures["accuracy"].value)
    index = list(range(8))
    pixels = np.stack([project.archive.read(i, 32).pixels for i in index])
    probs_NC = model.probs(project.chooser.features.features_NK[index]) ** (1 / bundle.record.temperature)
    answered = bundle.answerer()(pixels).probs_NC
    assert np.allclose(answered, probs_NC / probs_NC.sum(axis=1, keepdims=True), atol=1e-4)
    card = (folder / "mine/README.md").read_text()
    assert "test is the audit" in card and "synthetic" in card and "event log" in card


def test_no_audited_image_was_seen(folder: Path) -> None:
    project = al_cxr.LabellingProject.open(folder / "project")
    bundle = al_cxr.open_bundle(project.bundle(folder / "again"))
    aside = {image.digest for image, out in zip(project.archive.images, project.streams.reserved_N, strict=True) if out}
    assert bundle.seen and not bundle.seen & aside
    with pytest.raises(UserError, match="is there already"):
        project.bundle(folder / "again")


def test_without_an_audit_there_is_no_bundle(tmp_path: Path) -> None:
    project = begun(tmp_path)
    with pytest.raises(UserError, match="no model yet"):
        project.bundle(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_bundle_asks_the_first_questions_of_another_archive(folder: Path, tmp_path: Path) -> None:
    bundle = al_cxr.LabellingProject.open(folder / "project").bundle(tmp_path / "bundle")
    project = prepared(begun(tmp_path, {"start": str(bundle), "acquisition": {"explore": 0.01}}, "phantom:90"))
    project.ask(20, "ann")
    chosen = [q for q in project.journal.state.questions.values() if q.model == "start"]
    assert len(chosen) > 10 and {(q.stream, q.strategy) for q in chosen} == {("acquisition", "entropy")}
    index = [project.archive.index_of[q.image] for q in chosen]
    everything = np.flatnonzero(~project.streams.reserved_N)
    pixels = np.stack([project.archive.read(int(i), 32).pixels for i in everything])
    nats = al_cxr.open_bundle(bundle).answerer()(pixels).entropy_N
    surest = set(everything[np.argsort(-nats)[: len(chosen)]].tolist())
    assert len(surest & set(index)) >= len(chosen) - 1, "but for what is drawn at random"
    with pytest.raises(UserError, match="the project normal, tb; give a bundle of the same classes"):
        al_cxr.LabellingProject.create(tmp_path / "q", "phantom:90", ["normal", "tb"], settings={"start": str(bundle)})


def test_the_bundle_tells_images_that_are_unlike_the_archive(folder: Path) -> None:
    project = al_cxr.LabellingProject.open(folder / "project")
    made = al_cxr.open_bundle(project.bundle(folder / "usual"))
    assert made.usual is not None
    aside = np.flatnonzero(project.streams.reserved_N)
    assert len(made.usual.distances_M) == len(aside), "the distances are of images that are set aside"
    own_NSS = np.stack([project.archive.read(int(i), 32).pixels for i in range(20)])
    noise_NSS = np.random.default_rng(0).integers(0, 256, (20, 32, 32)).astype(np.uint8)
    assert np.median(made.usual.unlike(usual.features(own_NSS))) < 0.9
    assert (made.usual.unlike(usual.features(noise_NSS)) == 1).all()
