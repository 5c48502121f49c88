"""Each promise of the tables on faults and wrappers names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["faults", "wrappers"])
def test_every_promise_is_held_by_a_test(name: str) -> None:
    page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.endswith("| Test |")]
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 15
    for row in rows:
        held_by = re.findall(r"`([^`]+)`", row.split("|")[-2])
        assert held_by, f"no test: {row}"
        for test in held_by:
            assert (ROOT / test).is_file() if "/" in test else f"def {test}(" in source, test
