"""Recurrent networks with dropout between their layers, written out layer by layer.

`nn.LSTM(num_layers=3, dropout=0.3)` is one operation to a tracer, random inside. Written out, its first layer is seen
to be deterministic and its masks can be drawn once for all images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Unstacked(nn.Module):
    """An nn.LSTM, nn.GRU or nn.RNN as layers with nn.Dropout between; the same weights, the same values.

    Takes a padded batch and no initial state. Returns what the original returns: the states of the last layer, and the
    final states of all layers.
    """

    def __init__(self, original: nn.RNNBase) -> None:
        super().__init__()
        self.batch_first = original.batch_first
        self.is_lstm = isinstance(original, nn.LSTM)
        directions = 2 if original.bidirectional else 1
        options = {"bidirectional": original.bidirectional, "bias": original.bias}
        if isinstance(original, nn.RNN):
            options["nonlinearity"] = original.nonlinearity
        kind: Any = type(original)
        size, layers = original.input_size, []
        for number in range(original.num_layers):
            layer = kind(size, original.hidden_size, **options).to(next(original.parameters()))
            own = {f"{n}_l{number}{r}": f"{n}_l0{r}" for n in _names(original) for r in ("", "_reverse")[:directions]}
            layer.load_state_dict({new: getattr(original, old) for old, new in own.items()})
            layers.append(layer.eval())
            size = original.hidden_size * directions
        self.layers = nn.ModuleList(layers)
        self.dropouts = nn.ModuleList(nn.Dropout(original.dropout) for _ in layers[1:])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        # Time first, as the original computes and draws its masks.
        x = x.transpose(0, 1) if self.batch_first else x
        final = []
        for number, layer in enumerate(self.layers):
            x = self.dropouts[number - 1](x) if number else x
            x, last = layer(x)
            final.append(last)
        x = x.transpose(0, 1) if self.batch_first else x
        if self.is_lstm:
            return x, (torch.cat([h for h, _ in final]), torch.cat([c for _, c in final]))
        return x, torch.cat(final)


def unstacked(model: nn.Module) -> None:
    """Replace, in place, every recurrent module that is in train mode and draws between its layers."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.RNNBase) and module.training and module.dropout > 0 and not module.proj_size:
            written_out = Unstacked(module)
            written_out.dropouts.train()
            model.set_submodule(name, written_out)


def _names(original: nn.RNNBase) -> list[str]:
    return ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if original.bias else [])]
