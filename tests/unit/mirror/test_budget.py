"""A team's budget of change: what makes the sum of gains largest, and what agents do with their shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import masoft
from masoft import HAML, HATRPO
from masoft.distributions import Categoricals
from masoft.errors import ConfigurationError
from masoft.mirror import Budget, EqualBudget, Everywhere, KLBall, NaturalGradient, NoDrift, PolicyChange, SlopeBudget
from masoft.testing.games import IdentityTeam

SLOPES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=6)
SMALL: dict[str, Any] = dict(n_steps=32, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})


def gain(radii: Any, slopes: list[float]) -> float:
    """What a team gains to second order from KL divergences of these sizes."""
    return float(np.sqrt(2 * np.asarray(radii) * np.asarray(slopes)).sum())


@given(slopes=SLOPES, seed=st.integers(0, 2**16))
def test_no_other_deal_of_the_same_budget_gains_more(slopes: list[float], seed: int) -> None:
    shares = SlopeBudget().shares(slopes)
    assert np.mean(shares) == pytest.approx(1) and min(shares) >= 0
    others = np.random.default_rng(seed).dirichlet(np.ones(len(slopes)), 20) * len(slopes)
    assert all(gain(shares, slopes) >= gain(other, slopes) * (1 - 1e-9) for other in others)
    assert gain(shares, slopes) >= gain([1] * len(slopes), slopes) * (1 - 1e-9)


@given(slopes=SLOPES, least=st.floats(0, 1))
def test_everyone_keeps_the_least(slopes: list[float], least: float) -> None:
    shares = SlopeBudget(least).shares(slopes)
    assert np.mean(shares) == pytest.approx(1) and min(shares) >= least
    if least == 1:
        assert shares == pytest.approx(EqualBudget().shares(slopes))


@pytest.mark.parametrize("slopes", [[0.0, 0.0], [math.nan, 1.0]])
def test_without_slopes_everyone_gets_the_same(slopes: list[float]) -> None:
    assert SlopeBudget().shares(slopes) == [1.0, 1.0]


def softmax(logits: torch.Tensor) -> Categoricals:
    return Categoricals(logits.expand(1, -1), (len(logits),))


def test_the_squared_slope_is_what_a_small_step_gains() -> None:
    logits = torch.tensor([0.2, -0.4, 0.9, 0.0], dtype=torch.float64, requires_grad=True)
    reward = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    old = softmax(logits.detach().clone())
    natural = NaturalGradient(iterations=50, damping=0.0)

    def loss() -> torch.Tensor:
        return -(torch.softmax(logits, 0) * reward).sum()

    def change() -> PolicyChange:
        return PolicyChange(old, softmax(logits))

    found = natural.squared_slope([logits], loss, change)
    chances = torch.softmax(logits, 0).detach()
    variance = float((chances * (reward - chances @ reward).square()).sum())
    assert found == pytest.approx(variance, rel=1e-4)  # the Fisher information of a softmax turns it into this
    before, size = loss().item(), 1e-6
    NaturalGradient(50, 0.0, accept_ratio=0.0, step_kl=size).improve([logits], loss, change, Everywhere())
    assert before - loss().item() == pytest.approx(math.sqrt(2 * size * found), rel=2e-2)


def test_radii_follow_the_slopes() -> None:
    model = HATRPO("matrix/maxent", budget=SlopeBudget(), target_kl=0.02, **SMALL)
    seen: list[dict[int, float]] = []
    radii: dict[int, float] = {}
    step = type(model)._improve

    def watched(turn: Any) -> None:
        seen.append(dict(turn.shares))
        for i in turn.agents:
            radii[i] = turn.neighborhood_of([i]).radius
        step(model, turn)

    model._improve = watched  # type: ignore[method-assign]
    model.learn(32, log_interval=None)
    shares = seen[0]
    told = [model.logger.name_to_value[f"train/budget/{name}"] for name in model.team.names]
    assert told == pytest.approx([*shares.values()])
    assert seen == [shares] * 2 and sum(shares.values()) == pytest.approx(2)
    assert radii == pytest.approx({i: 0.02 * share for i, share in shares.items()})
    assert shares[0] != pytest.approx(1)


def test_an_equal_budget_changes_nothing() -> None:
    plain, equal, least = (
        HATRPO("matrix/maxent", **how, **SMALL).learn(64)
        for how in ({}, {"budget": EqualBudget()}, {"budget": SlopeBudget(least=1.0)})
    )
    for other in (equal, least):
        for one, two in zip(plain.policy.parameters(), other.policy.parameters(), strict=True):
            assert torch.equal(one, two)


@dataclass(frozen=True)
class OnlyTheFirst(Budget):
    """No slopes asked for; the others rest."""

    needs_slopes = False

    def shares(self, slopes: Any) -> list[float]:
        return [float(len(slopes)), *[0.0] * (len(slopes) - 1)]


def test_who_gets_nothing_rests() -> None:
    model = HAML(
        IdentityTeam(), budget=OnlyTheFirst(), neighborhood=KLBall(0.05), improver=NaturalGradient(), drift=NoDrift(),
        batch_size=None, n_epochs=1, **SMALL,
    )  # fmt: skip
    before = [[weight.detach().clone() for weight in actor.parameters()] for actor in model.policy.actors]
    model.learn(64)
    moved = [
        any(not torch.equal(old, new) for old, new in zip(weights, actor.parameters(), strict=True))
        for weights, actor in zip(before, model.policy.actors, strict=True)
    ]
    assert moved == [True, False, False][: len(moved)] and len(moved) > 1


@dataclass(frozen=True)
class Wrong(Budget):
    given: tuple[float, ...] = ()

    def shares(self, slopes: Any) -> Any:
        return self.given


@pytest.mark.parametrize("given", [(1.0,), (1.0, -1.0), (1.0, math.inf)])
def test_shares_that_make_no_sense_are_refused(given: tuple[float, ...]) -> None:
    with pytest.raises(ConfigurationError, match="shares of Wrong must be 2 finite numbers >= 0, one an agent"):
        HATRPO("matrix/maxent", budget=Wrong(given), **SMALL).learn(32)


def test_a_budget_needs_a_radius() -> None:
    with pytest.raises(ConfigurationError, match="budget must be EqualBudget.. where no radius can be dealt"):
        HAML("matrix/maxent", budget=SlopeBudget())
    ball = KLBall(0.01)
    with pytest.raises(ConfigurationError, match="where no radius can be dealt.*KLBall"):
        HAML("matrix/maxent", budget=SlopeBudget(), neighborhood=ball & ball)
    model = HATRPO("matrix/maxent", budget=SlopeBudget())
    with pytest.raises(ConfigurationError, match="budget.*a Budget"):
        model.budget = 0.5
    with pytest.raises(ConfigurationError, match="least"):
        SlopeBudget(least=1.5)
    with pytest.raises(TypeError, match="budget"):
        masoft.HAPPO("matrix/maxent", budget=SlopeBudget())


def test_files_keep_it(tmp_path: Path) -> None:
    HATRPO("matrix/maxent", budget=SlopeBudget(0.25), **SMALL).save(tmp_path / "model")
    assert HATRPO.load(tmp_path / "model").budget == SlopeBudget(0.25)
