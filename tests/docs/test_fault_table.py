"""Each promise of the page on faults names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_is_held_by_a_test() -> None:
    page = (ROOT / "docs" / "how-to" / "faults.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| Fault")]
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 15
    for row in rows:
        held_by = re.findall(r"`([^`]+)`", row.split("|")[-2])
        assert held_by, f"no test: {row}"
        for name in held_by:
            assert (ROOT / name).is_file() if "/" in name else f"def {name}(" in source, name
