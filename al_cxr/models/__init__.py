"""The architectures: one module each, one registry.

To add one, write `al_cxr/models/<name>.py` with a function or class

    @register("<name>")
    def build_it(in_channels: int, classes: int, image_size: int, *, width: Width = 1.0) -> nn.Module: ...

and add the module to the import below. The keyword-only parameters are the options of the experiment file
(`model.options.<name>.<option>`): their annotations are checked, their defaults are the defaults. `cnn2.py` is the
shortest example; `tests/models/test_models.py` runs its template tests on every registered name.

A model maps x (B, in_channels, S, S), float, to logits (B, classes), for any S >= 28. It is random only through nn
dropout modules and the `dropout=` of nn.LSTM, so that every random site can be found; its initial weights depend on
torch's global generator alone.
"""

from __future__ import annotations

from al_cxr.models import cnn, cnn2, cnn_bn, cnn_se, mlp, pretrained, resnet, rnn, vit  # noqa: F401 - importing registers them
from al_cxr.models.base import build, defaults, names, parameters, register, takes_pixels

__all__ = ["build", "defaults", "names", "parameters", "register", "takes_pixels"]
