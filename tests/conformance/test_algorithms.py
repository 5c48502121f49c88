"""Every algorithm keeps the promises of `masoft.testing.check_algorithm`."""

from __future__ import annotations

import pytest

import masoft
from masoft.testing.algorithm_checks import CHECKS, Check, Kit

SLOW = {"check_solves_identity", "check_repeatable", "check_team_sizes"}


@pytest.mark.parametrize("name", masoft.ALGORITHMS)
@pytest.mark.parametrize(
    "check", [pytest.param(c, marks=[pytest.mark.slow] if c.__name__ in SLOW else [], id=c.__name__) for c in CHECKS]
)
def test_algorithm(name: str, check: Check) -> None:
    check(Kit(getattr(masoft, name), {}))
