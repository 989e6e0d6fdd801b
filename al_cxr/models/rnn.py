"""The radiograph read row by row: a bidirectional LSTM with attention over the rows."""

from __future__ import annotations

import torch
from torch import nn

from al_cxr.models.base import Probability, Width, architecture
from al_cxr.models.layers import outputs_of, scaled


@architecture("rnn")
class RowLSTM(nn.Module):
    """Rows as a sequence, projection 512 with LayerNorm, 3-layer bidirectional LSTM 512, tanh attention, head.

    At 224 px with 3 channels the sequence is 224 steps of 672 features. The attention (Bahdanau's, without a query) is
    Linear 1,024-256, tanh, Linear 256-1, softmax over rows; the head is 1,024-512-256-classes with ReLU and dropout.
    18,066,948 parameters there with 3 classes.

    Parameters
    ----------
    width : float
        Scales every hidden size.
    dropout : float
        Between the LSTM's layers, through nn.LSTM(dropout=): random with no dropout module of its own.
    head_dropout : float
        After each ReLU of the head.

    References
    ----------
    Hochreiter and Schmidhuber 1997; Bahdanau, Cho and Bengio 2015, https://arxiv.org/abs/1409.0473.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("rnn", 3, 3, 224, {})
    >>> models.parameters(network)
    18066948
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        image_size: int,
        *,
        width: Width = 1.0,
        dropout: Probability = 0.3,
        head_dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        hidden, attended, narrow = scaled(512, width), scaled(256, width), scaled(256, width)
        self.project = nn.Sequential(nn.Linear(in_channels * image_size, hidden), nn.LayerNorm(hidden))
        self.lstm = nn.LSTM(hidden, hidden, num_layers=3, dropout=dropout, bidirectional=True, batch_first=True)
        self.score = nn.Sequential(nn.Linear(2 * hidden, attended), nn.Tanh(), nn.Linear(attended, 1))
        self.softmax = nn.Softmax(dim=1)
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, hidden),
            nn.ReLU(),
            nn.Dropout(head_dropout),
            nn.Linear(hidden, narrow),
            nn.ReLU(),
            nn.Dropout(head_dropout),
            nn.Linear(narrow, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of x (B, channels, rows, columns)."""
        rows = x.transpose(1, 2).flatten(2)  # (B, rows, channels * columns)
        states, _ = self.lstm(self.project(rows))  # (B, rows, 2 * hidden)
        weights = self.softmax(self.score(states))  # (B, rows, 1)
        logits: torch.Tensor = self.head((weights * states).sum(dim=1))
        return logits

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Weight of every row in forward(x), (B, rows), >= 0 and summing to 1; deterministic in eval mode."""
        (weights,) = outputs_of([self.softmax], self, x)
        return weights.squeeze(2)
