"""The networks with attention against independent implementations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import image, narrow
from torch import nn


@pytest.mark.parametrize(("size", "channels"), [(32, 1), (45, 3)])
def test_rnn_equals_numpy_attention(size: int, channels: int) -> None:
    model, x = narrow("rnn", channels, size).eval(), image(3, channels, size)
    rows = x.numpy().transpose(0, 2, 1, 3).reshape(3, size, channels * size)
    with torch.no_grad():
        states = model.lstm(model.project(torch.from_numpy(rows)))[0].numpy()
        w1, b1, w2, b2 = (p.numpy() for p in model.score.parameters())
        scores = np.tanh(states @ w1.T + b1) @ w2[0] + b2
        weights_BR = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        attention = model.attention(x)
        assert attention.shape == (3, size)
        np.testing.assert_allclose(attention.numpy(), weights_BR, rtol=1e-4)
        np.testing.assert_allclose(attention.sum(1).numpy(), 1, rtol=1e-5)
        pooled = np.einsum("br,brh->bh", weights_BR, states)
        torch.testing.assert_close(model(x), model.head(torch.from_numpy(pooled)), rtol=1e-4, atol=1e-5)


def reference_vit(model: Any, x: torch.Tensor, dim: int, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and attention through torch's own encoder layers with the weights copied."""
    patch = model.embed.kernel_size[0]
    side = -(-x.shape[-1] // patch) * patch
    padded = torch.zeros(*x.shape[:2], side, side)
    padded[..., : x.shape[2], : x.shape[3]] = x
    grid = range(0, side, patch)
    patches = torch.stack([padded[:, :, r : r + patch, c : c + patch].flatten(1) for r in grid for c in grid], dim=1)
    h = patches @ model.embed.weight.flatten(1).T + model.embed.bias
    h = torch.cat([model.cls.repeat(len(x), 1, 1), h], dim=1) + model.positions
    attention = []
    for block in model.blocks:
        layer = nn.TransformerEncoderLayer(dim, heads, 4 * dim, activation="gelu", batch_first=True, norm_first=True)
        copies = {
            "self_attn.in_proj_": block.attention.qkv,
            "self_attn.out_proj.": block.attention.project,
            "linear1.": block.mlp[0],
            "linear2.": block.mlp[3],
            "norm1.": block.norm1,
            "norm2.": block.norm2,
        }
        layer.load_state_dict({f"{k}{n}": p for k, m in copies.items() for n, p in m.named_parameters()})
        layer.eval()
        n = layer.norm1(h)
        attention.append(layer.self_attn(n, n, n, need_weights=True, average_attn_weights=False)[1])
        h = layer(h)
    return model.head(model.norm(h)[:, 0]), torch.stack(attention, dim=1)


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (64, 3)])
def test_vit_equals_torchs_encoder(size: int, channels: int) -> None:
    model, x = narrow("vit", channels, size).eval(), image(3, channels, size)
    with torch.no_grad():
        for p in model.parameters():  # away from the small start, where attention is nearly uniform
            p.add_(0.2 * torch.randn_like(p))
        logits, attention = reference_vit(model, x, 24, 3)
        torch.testing.assert_close(model(x), logits, rtol=1e-4, atol=1e-4)
        mine = model.attention(x)
    tokens = (-(-size // 16)) ** 2 + 1
    assert mine.shape == (3, 2, 3, tokens, tokens)
    assert mine.std() > 0.05
    torch.testing.assert_close(mine, attention, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["rnn", "vit"])
def test_asking_for_attention_changes_nothing(arch: str) -> None:
    model, x = narrow(arch).train(), image(2, 1, 28)
    model.attention(x)
    assert not any(m._forward_hooks for m in model.modules())
    torch.manual_seed(5)
    logits = model(x)
    torch.manual_seed(5)
    model.attention(x)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(model(x), logits) and torch.equal(torch.rand(1), after)  # the same draws as forward


@settings(max_examples=15, deadline=None)
@given(size=st.integers(28, 90), patch=st.integers(5, 28))
def test_vit_takes_any_size_and_patch(size: int, patch: int) -> None:
    model = narrow("vit", 1, size, patch=patch, depth=1).eval()
    x = image(1, 1, size).requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None and (x.grad != 0).float().mean() > 0.99  # no pixel is cut off
