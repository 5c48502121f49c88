"""The list of planted faults fits the code: each can be planted, and the tests that should notice it are there."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "faults"))
from planted import FAULTS, Fault  # noqa: E402


def test_each_is_there_once() -> None:
    assert len({(fault.file, fault.old) for fault in FAULTS}) == len(FAULTS) >= 50


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{Path(fault.file).stem}-{fault.old}")
def test_a_fault_can_be_planted(fault: Fault) -> None:
    text = (ROOT / "masoft" / fault.file).read_text()
    assert text.count(fault.old) == 1, (
        "The code has moved: choose the text of this fault anew in tests/faults/planted.py"
    )
    planted = text.replace(fault.old, fault.new)
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(text))
    for test in fault.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists() and (not name or f"def {name}(" in (ROOT / path).read_text()), test
