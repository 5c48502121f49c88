"""A handful of faults in one training, which ends with the weights of an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "faults" / "chaos.py"


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks with everything imported")
def test_ten_kinds_of_fault_change_nothing() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "10", "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == 10 and found["different"] == 0 and found["tensors compared"] > 100
    assert found["failed checkpoints"] > 0 and found["cut files"] > 0 and found["steps"] > 100
