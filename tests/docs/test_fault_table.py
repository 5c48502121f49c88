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


def test_every_promise_with_a_figure_names_a_program() -> None:
    page = (ROOT / "docs" / "how-to" / "promises.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for promise, programs, figure in rows:
        named = [name for name in re.findall(r"`([^`]+)`", programs) if "/" in name]
        assert named and figure.strip(), promise
        assert all((ROOT / name).is_file() for name in named), named
