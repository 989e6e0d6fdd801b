"""One template that every registered architecture must pass, whoever registered it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import NARROW, image, narrow
from safetensors.torch import load_file, save_file
from torch import nn

from al_cxr import models
from al_cxr.core.errors import UserError

DROPOUTS = (nn.Dropout, nn.Dropout2d, nn.LSTM)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 45, 64])
@pytest.mark.parametrize("arch", models.names())
def test_any_size_and_channels(arch: str, size: int, channels: int) -> None:
    model = narrow(arch, channels, size)
    x = image(3, channels, size)
    loss = nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2]))
    loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
    model.eval()
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (3, 3) and torch.isfinite(logits).all()
        for i in range(3):  # no image sees its neighbours
            torch.testing.assert_close(model(x[i : i + 1]), logits[i : i + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", models.names())
def test_state_dict_round_trip(arch: str, tmp_path: Path) -> None:
    model = narrow(arch)
    model(image(4, 1, 28))  # batch-norm statistics move away from their start
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    torch.manual_seed(99)
    other = models.build(arch, 1, 3, 28, NARROW.get(arch, {}))
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    x = image(2, 1, 28)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), other.eval()(x))


@pytest.mark.parametrize("arch", models.names())
def test_weights_depend_on_the_global_generator_alone(arch: str) -> None:
    first, again = narrow(arch).state_dict(), narrow(arch).state_dict()
    other = models.build(arch, 1, 3, 28, NARROW.get(arch, {})).state_dict()  # the generator has moved on
    assert all(torch.equal(first[k], again[k]) for k in first)
    drawn = [k for k in first if (first[k] != first[k].flatten()[0]).any()]
    assert drawn and all(not torch.equal(first[k], other[k]) for k in drawn)


@pytest.mark.parametrize("arch", models.names())
def test_every_dropout_is_an_ordinary_module_that_acts(arch: str) -> None:
    """In eval mode nothing is random; a single dropout module (or nn.LSTM) in train mode is enough to be."""
    on: dict[str, Any] = {name: 0.5 for name in models.defaults(arch) if name in ("dropout", "head_dropout")}
    x = image(2, 1, 28)
    model = narrow(arch, **on).eval()
    sites = {name: m for name, m in model.named_modules() if isinstance(m, DROPOUTS)}
    assert sites
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        for name, site in sites.items():
            site.training = True
            assert len({tuple(model(x).flatten().tolist()) for _ in range(8)}) > 1, name  # narrow: two may agree
            site.training = False
        certain = narrow(arch, **{name: 0.0 * rate for name, rate in on.items()}).eval()
        for m in certain.modules():
            m.training = isinstance(m, DROPOUTS)
        assert torch.equal(certain(x), certain(x))


@pytest.mark.parametrize("arch", models.names())
def test_defaults_are_valid_and_every_option_is_checked(arch: str) -> None:
    defaults = models.defaults(arch)
    with torch.device("meta"):  # where there is nothing to put pretrained weights into
        given = {"name": "test_resnet"} if arch == "backbone" else {}  # the one option that must be given
        models.build(arch, 1, 3, 64, {k: "none" if k == "weights" else v for k, v in defaults.items()} | given)
    for option in defaults:
        with pytest.raises(UserError, match=rf"model\.options\.{arch}\.{option}: "):
            models.build(arch, 1, 3, 64, {option: [1]})


@pytest.mark.parametrize("arch", models.names())
def test_it_is_described(arch: str) -> None:
    said = models.ARCHITECTURES.get(arch).builder.__doc__
    assert said and re.search(r"[.;]$", said.split("\n\n")[0].strip()), "one sentence first"
    for option in models.defaults(arch):
        assert re.search(rf"^    (\w+, )*{option}(, \w+)* : ", said, re.M), f"{option} is not described"


PLUG_IN = """
from torch import nn

from al_cxr.models import Probability, Units, architecture


@architecture("plugged_in")
def plugged_in(in_channels: int, classes: int, image_size: int, *, hidden: Units = 8, dropout: Probability = 0.2):
    '''From another package.

    hidden : int
        Units.
    dropout : float
        Before the last layer.
    '''
    first = nn.Linear(in_channels * image_size**2, hidden)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))
"""


def test_the_template_runs_over_an_architecture_of_another_installed_package(tmp_path: Path) -> None:
    (tmp_path / "my_networks.py").write_text(PLUG_IN)
    info = tmp_path / "my_networks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_networks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[al_cxr.models]\nmine = my_networks\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-m", "pytest", "-vv", "-n", "0", "-p", "no:cacheprovider", "-k", "plugged_in", __file__]
    told = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout
    assert "test_any_size_and_channels[plugged_in-28-1]" in told.stdout
