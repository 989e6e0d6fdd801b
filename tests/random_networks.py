"""Small networks that are random in different places, and what of a network must not change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.ops import DropBlock2d, StochasticDepth


class Functional(nn.Module):
    """Draws in its own forward, and has batch-norm children."""

    def __init__(self, p: float = 0.4) -> None:
        super().__init__()
        self.p, self.conv, self.norm = p, nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(torch.relu(self.norm(self.conv(x))), self.p, training=self.training).flatten(1)


class Always(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x.flatten(1), 0.3, training=True)


class Rows(nn.Module):
    """Image rows as a sequence, for recurrent and attention modules of either layout."""

    def __init__(self, inner: nn.Module, batch_first: bool) -> None:
        super().__init__()
        self.inner, self.batch_first = inner, batch_first

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, 0] if self.batch_first else x[:, 0].transpose(0, 1)
        if isinstance(self.inner, nn.MultiheadAttention):
            out = self.inner(rows, rows, rows, need_weights=self.inner.num_heads == 2)[0]
        else:
            out = self.inner(rows)
        out = out[0] if isinstance(out, tuple) else out
        return (out if self.batch_first else out.transpose(0, 1)).flatten(1)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop, self.a, self.b = nn.Dropout(0.5), nn.Linear(64, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.drop(self.a(self.drop(x.flatten(1)))))


class Native(nn.Module):
    """The operator that F.dropout becomes on a GPU, and masks from torch.bernoulli."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.native_dropout(x, 0.3, self.training)[0]
        return (x * torch.bernoulli(torch.full_like(x, 0.6)) if self.training else x).flatten(1)


class Residual(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.conv, self.depth = nn.Conv2d(1, 1, 3, padding=1), StochasticDepth(0.5, mode)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.depth(self.conv(x))).flatten(1)


def conv_with(layer: nn.Module, flat: bool = False) -> nn.Module:
    head = [nn.Flatten(2)] if flat else []
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *head, layer, nn.Flatten(1))


def volume(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Unflatten(2, (2, 3)), layer, nn.Flatten(1))


def resnet_with_dropout() -> nn.Module:
    net = resnet18(num_classes=3)
    net.conv1 = nn.Conv2d(1, 64, 7, 2, 3)
    net.fc = nn.Sequential(nn.Dropout(0.5), net.fc)
    return net


def encoder(norm_first: bool, batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, norm_first=norm_first, batch_first=batch_first)
    return Rows(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), batch_first)


RNN = {"hidden_size": 6, "num_layers": 3, "dropout": 0.3, "bidirectional": True}


NETWORKS = {
    "dropout": (lambda: conv_with(nn.Dropout(0.3)), ["3"]),
    "dropout in place": (lambda: conv_with(nn.Dropout(0.3, inplace=True)), ["3"]),
    "dropout1d": (lambda: conv_with(nn.Dropout1d(0.3), flat=True), ["4"]),
    "dropout2d": (lambda: conv_with(nn.Dropout2d(0.3)), ["3"]),
    "dropout3d": (lambda: volume(nn.Dropout3d(0.3)), ["2"]),
    "alpha": (lambda: conv_with(nn.AlphaDropout(0.3)), ["3"]),
    "feature alpha": (lambda: conv_with(nn.FeatureAlphaDropout(0.3)), ["3"]),
    "functional": (lambda: nn.Sequential(Functional()), ["0"]),
    "functional at the top": (Functional, [""]),
    "always": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Always()), ["1"]),
    "lstm batch first": (lambda: Rows(nn.LSTM(8, batch_first=True, **RNN), True), ["inner"] * 2),
    "lstm time first": (lambda: Rows(nn.LSTM(8, **RNN), False), ["inner"] * 2),
    "gru batch first": (lambda: Rows(nn.GRU(8, batch_first=True, **RNN), True), ["inner"] * 2),
    "gru time first": (lambda: Rows(nn.GRU(8, **RNN), False), ["inner"] * 2),
    "attention with weights": (
        lambda: Rows(nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True), True),
        ["inner"],
    ),
    "attention time first": (lambda: Rows(nn.MultiheadAttention(8, 2, dropout=0.3), False), ["inner"]),
    "attention fused": (lambda: Rows(nn.MultiheadAttention(8, 4, dropout=0.3, batch_first=True), True), ["inner"]),
    "depth row": (lambda: Residual("row"), ["depth"]),
    "depth batch": (lambda: Residual("batch"), ["depth"]),
    "drop block": (lambda: conv_with(DropBlock2d(0.3, 3)), ["3"]),
    "resnet": (resnet_with_dropout, ["fc.0"]),
    "one module at two places": (Twice, ["drop", "drop"]),
    "other operators": (Native, ["", ""]),
    **{
        f"encoder norm_first={norm} batch_first={batch}": (
            lambda norm=norm, batch=batch: encoder(norm, batch),
            [f"inner.layers.{i}.{name}" for i in (0, 1) for name in ("self_attn", "dropout1", "dropout", "dropout2")],
        )
        for norm in (False, True)
        for batch in (False, True)
    },
}


def state(model: nn.Module) -> tuple[dict[str, bool], dict[str, Tensor], bool]:
    flags = {name: m.training for name, m in model.named_modules()}
    return flags, {k: v.clone() for k, v in model.state_dict().items()}, torch.backends.mha.get_fastpath_enabled()


def assert_same_state(model: nn.Module, before: tuple[dict[str, bool], dict[str, Tensor], bool]) -> None:
    flags, tensors, fast = state(model)
    assert (flags, fast) == (before[0], before[2])
    assert all(torch.equal(tensors[k], v) for k, v in before[1].items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
