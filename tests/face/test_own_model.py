"""The script that shows active learning with a data set and a network of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "own_model.py"


def test_the_script_asks_for_labels_and_learns_from_them(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rounds = re.findall(r"(\d+) labels: ([\d.]+) % of the test images right", done.stdout)
    assert [int(labels) for labels, _ in rounds] == [20, 40, 60, 80, 100]
    first, last = float(rounds[0][1]), float(rounds[-1][1])
    assert first > 25, "worse than chance would be one in ten"
    assert last > first + 10
    assert not list(tmp_path.iterdir()), "it wrote something"
