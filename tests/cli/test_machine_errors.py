"""What the machine cannot do is one line that says what to change."""

from __future__ import annotations

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

from al_cxr.cli import __main__ as command_line


def test_a_gpu_without_memory_left_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(options: Namespace) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    parser = SimpleNamespace(parse_args=lambda arguments: Namespace(call=call))
    monkeypatch.setattr(command_line, "parser", lambda: parser)
    assert command_line.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("al-cxr: error: the GPU's memory is used up; lower machine.score_batch")
    assert said.count("\n") == 1
