"""A vision transformer (Dosovitskiy 2021), pre-norm, trained from scratch."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from al_cxr.core.errors import UserError
from al_cxr.models.base import Probability, Units, architecture
from al_cxr.models.layers import outputs_of

Patch = Annotated[int, Field(ge=2, le=256, description="side of a patch, pixels")]
Depth = Annotated[int, Field(ge=1, le=64)]


class Attention(nn.Module):
    """Multi-head self-attention, tokens (B, N, dim) -> (B, N, dim).

    Written out so that its randomness is an ordinary nn.Dropout on the weights and can be found, and so that no fused
    path skips that dropout: nn.TransformerEncoderLayer in eval mode does.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, dim/heads)
        weights = self.softmax(q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1))  # (B, heads, N, N), rows sum to 1
        attended: torch.Tensor = self.project((self.dropout(weights) @ v).transpose(1, 2).flatten(2))
        return attended


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); GELU, hidden 4 dim."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        more: torch.Tensor = self.mlp(self.norm2(x))
        return x + more


@architecture("vit")
class VisionTransformer(nn.Module):
    """Patches of 16 px, 512 dimensions, 6 layers of 8 heads, MLP 2,048, learned positions, class token, dropout 0.1.

    19,411,971 parameters at 224 px with 3 channels and 3 classes (197 tokens).

    Parameters
    ----------
    patch : int
        Side in pixels. An image whose side is no multiple of it is padded with zeros at the right and bottom.
    dim : int
        Of a token, a multiple of `heads`; the MLP is four times as wide.
    depth : int
        Layers.
    heads : int
        Of the attention in each layer.
    dropout : float
        Of tokens, attention weights and the MLP.

    References
    ----------
    Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021), https://arxiv.org/abs/2010.11929.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("vit", 3, 3, 224, {})
    >>> models.parameters(network)
    19411971
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        image_size: int,
        *,
        patch: Patch = 16,
        dim: Units = 512,
        depth: Depth = 6,
        heads: Units = 8,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise UserError(f"model.options.vit.dim: {dim} is no multiple of heads ({heads}); change one of them")
        if patch > image_size:
            raise UserError(
                f"model.options.vit.patch: {patch} px is larger than the image ({image_size} px); take a smaller patch"
            )
        self.padding = -image_size % patch
        tokens = ((image_size + self.padding) // patch) ** 2 + 1
        self.embed = nn.Conv2d(in_channels, dim, patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, tokens, dim))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(dim, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)
        self._initialise()

    def _initialise(self) -> None:
        # As in ViT and DeiT: truncated normal 0.02, and LeCun for the patches, which see raw pixels.
        for linear in [m for m in self.modules() if isinstance(m, nn.Linear)]:
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        nn.init.trunc_normal_(self.embed.weight, std=self.embed.weight[0].numel() ** -0.5)
        nn.init.trunc_normal_(self.cls, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of x (B, channels, S, S), read from the class token."""
        x = F.pad(x, (0, self.padding, 0, self.padding))
        patches = self.embed(x).flatten(2).transpose(1, 2)  # (B, N - 1, dim), row by row
        tokens = torch.cat([self.cls.expand(x.shape[0], -1, -1), patches], dim=1) + self.positions
        logits: torch.Tensor = self.head(self.norm(self.blocks(self.dropout(tokens))[:, 0]))
        return logits

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Weights (B, layers, heads, tokens, tokens) in forward(x), before their dropout; the last axis sums to 1.

        Token 0 is the class token, token 1 + r * (patches a side) + c the patch in row r, column c. Deterministic in
        eval mode.
        """
        softmaxes = [m.softmax for m in self.modules() if isinstance(m, Attention)]
        return torch.stack(outputs_of(softmaxes, self, x), dim=1)
