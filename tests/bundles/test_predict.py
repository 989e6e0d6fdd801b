"""Answers to a stream of images: the same whatever the threads and the stops; bad files are listed and skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from predicted import quietly, table

from al_cxr.bundles import decoding
from al_cxr.bundles.answers import serving_runtime
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.folder import read_bundle
from al_cxr.bundles.inputs import find_inputs
from al_cxr.bundles.stream import write_predictions
from al_cxr.cli.__main__ import main
from al_cxr.data import decode
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.passes import monte_carlo


def test_a_row_says_what_the_bundle_and_its_rules_say(single: Path, images: Path, tmp_path: Path) -> None:
    bundle = read_bundle(single)
    assert main(["predict", str(single), str(images), "--out", str(tmp_path / "p.csv")]) == 0
    rows, record, fit = table(tmp_path / "p.csv"), bundle.record, bundle.fits[0]
    # plain path order, folder by folder, as os.walk gives it
    assert len(rows) == 40 and [r["path"] for r in rows] == find_inputs(images).names
    runtime = serving_runtime()
    pixels = np.stack([decode.decode(images / r["path"], record.image_size) for r in rows])
    loader, network = fit.loader(pixels, runtime), fit.model(runtime)
    with torch.inference_mode():
        logits = torch.cat([network(x) for _, x in loader.batches(np.arange(40), 7)]).double()
    probs_NC = torch.softmax(logits / record.temperature, dim=1).numpy()
    passes = monte_carlo(network, loader.batches(np.arange(40), 40), Sampling(record.passes, 0, 0))
    target = record.classes.index(record.target)
    for i, row in enumerate(rows):
        shown = np.array([float(row[f"p_{name}"]) for name in record.classes])
        np.testing.assert_allclose(shown, probs_NC[i], atol=2e-6)
        assert shown.sum() == pytest.approx(1, abs=3e-6)
        assert float(row["entropy"]) == pytest.approx(-(probs_NC[i] * np.log(probs_NC[i])).sum(), abs=1e-5)
        assert float(row["mutual_information"]) == pytest.approx(passes.mutual_information_N[i], abs=2e-6)
        if abs(probs_NC[i, target] - record.decision.threshold) > 1e-5:
            ill = probs_NC[i, target] >= record.decision.threshold
            others = [name for name in record.classes if name != "tuberculosis"]
            likeliest = max(others, key=lambda name: float(row[f"p_{name}"]))
            assert row["is_tuberculosis"] == str(int(ill))
            assert row["predicted"] == ("tuberculosis" if ill else likeliest)
            assert row["decided_by"] == f"P(tuberculosis) >= {record.decision.threshold:.4f}"
        if abs(probs_NC[i].max() - record.abstention.confidence) > 1e-5:
            assert row["abstain"] == str(int(probs_NC[i].max() < record.abstention.confidence))
    assert not (tmp_path / "p.skipped.csv").exists() and not list(tmp_path.glob("*.partial"))


def test_an_ensemble_averages_its_members(ensemble: Bundle, images: Path) -> None:
    pixels = np.stack([decode.decode(images / name, ensemble.record.image_size) for name in find_inputs(images).names])
    answers = ensemble.answerer()(pixels)
    singles = []
    for fit in ensemble.fits:
        with torch.inference_mode():
            (_, x), *_ = fit.loader(pixels, serving_runtime()).batches(np.arange(40), 40)
            singles.append(torch.softmax(fit.model(serving_runtime())(x).double(), dim=1).numpy())
    mean_NC = np.mean(singles, axis=0)
    np.testing.assert_allclose(answers.probs_NC, apply_temperature(mean_NC, ensemble.record.temperature), atol=1e-6)
    entropies = [-(p * np.log(p)).sum(axis=1) for p in (mean_NC, *singles)]
    expected = entropies[0] - (entropies[1] + entropies[2]) / 2
    assert answers.mutual_information_N is not None
    np.testing.assert_allclose(answers.mutual_information_N, expected, atol=1e-6)
    assert expected.max() > 1e-4


def test_the_same_bytes_for_any_threads_and_chunks(
    single: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, inputs = read_bundle(single), find_inputs(images)
    made = []
    for workers, chunk, threads in ((1, 256, 1), (5, 32, 3), (3, 64, 2)):
        monkeypatch.setattr(decoding, "CHUNK", chunk)
        torch.set_num_threads(threads)
        out = tmp_path / f"{workers}.csv"
        write_predictions(bundle, inputs, out, workers, quietly)
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


def test_an_answer_does_not_depend_on_the_company(single: Path, images: Path, tmp_path: Path) -> None:
    answer, size = read_bundle(single).answerer(), read_bundle(single).record.image_size
    pixels = np.stack([decode.decode(images / name, size) for name in find_inputs(images).names])
    order = np.random.default_rng(0).permutation(40)
    whole, shuffled = answer(pixels), answer(pixels[order])
    alone = [answer(pixels[i : i + 1]).probs_NC[0] for i in range(3)]
    np.testing.assert_allclose(whole.probs_NC[order], shuffled.probs_NC, atol=1e-6)
    np.testing.assert_allclose(whole.probs_NC[:3], alone, atol=1e-6)
    assert whole.mutual_information_N is not None and shuffled.mutual_information_N is not None
    np.testing.assert_allclose(whole.mutual_information_N[order], shuffled.mutual_information_N, atol=1e-6)


def test_explain_writes_an_overlay_an_image(
    single: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(images / name) for name in find_inputs(images).names[:2]]
    assert main(["explain", str(single), *names, names[0], "--out", str(tmp_path / "e"), "--class", "normal"]) == 0
    stems = [Path(name).stem for name in names]
    assert {p.name for p in (tmp_path / "e").iterdir()} == {f"{stems[0]}.png", f"{stems[1]}.png", f"{stems[0]}-2.png"}
    assert "P(normal)" in capsys.readouterr().out
    assert main(["explain", str(single), names[0], "--out", str(tmp_path / "e"), "--class", "covid"]) == 2
    assert "--class: no class 'covid'; known: normal" in capsys.readouterr().err
