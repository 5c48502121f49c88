"""Every algorithm keeps the promises of `masoft.testing.check_algorithm`."""

from __future__ import annotations

import pytest

import masoft
from masoft.errors import SpaceError
from masoft.testing.algorithm_checks import CHECKS, Check, Kit
from masoft.testing.games import IdentityTeam

CATEGORICAL_ONLY = {"VDN", "QMIX", "HAD3QN"}
"""Classes whose documentation pages say that they take no Box agent."""
SLOW = {"check_solves_identity", "check_repeatable", "check_team_sizes"}


@pytest.mark.parametrize("name", masoft.ALGORITHMS)
@pytest.mark.parametrize(
    "check", [pytest.param(c, marks=[pytest.mark.slow] if c.__name__ in SLOW else [], id=c.__name__) for c in CHECKS]
)
def test_algorithm(name: str, check: Check) -> None:
    check(Kit(getattr(masoft, name), {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", masoft.ALGORITHMS)
def test_500_steps_on_the_mixed_team_where_the_documentation_says_so(name: str) -> None:
    kit = Kit(getattr(masoft, name), {})
    if name in CATEGORICAL_ONLY:
        with pytest.raises(SpaceError, match=f"'agent_0' must be a Discrete or .* for {name}.*HASAC"):
            kit.build(IdentityTeam())
        team = IdentityTeam(("discrete", "multidiscrete", "multibinary"))
    else:
        team = IdentityTeam()
    model = kit.build(team).learn(500)
    assert model.num_timesteps >= 500
    assert model._n_updates > 0
    assert all(bool(weight.isfinite().all()) for weight in model.policy.parameters())
