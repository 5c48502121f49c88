"""Theorem 3 on random games: with any drift and neighborhood J never falls and the end is a QRE."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from exact_games import Drawn, drawn_games
from hypothesis import given, settings

from masoft.mirror import (
    ClipDrift,
    Drift,
    Everywhere,
    FixedOrder,
    Greedy,
    KLBall,
    KLDrift,
    Neighborhood,
    NoDrift,
    ParameterBall,
    Simultaneous,
    SquaredRatioDrift,
    TotalVariationBall,
    TotalVariationDrift,
)
from masoft.tabular import mehaml
from masoft.tabular.finite import log_policy
from masoft.tabular.penalties import Reference

DRIFTS: list[Drift] = [
    NoDrift(),
    KLDrift(0.5),
    KLDrift(0.5, direction="forward"),
    ClipDrift(0.2),
    TotalVariationDrift(0.5, smoothing=0.5),
    SquaredRatioDrift(0.3),
    KLDrift(0.1) + 2 * ClipDrift(0.3),
]
NEIGHBORHOODS: list[Neighborhood] = [
    Everywhere(),
    KLBall(0.05),
    KLBall(0.1, direction="reverse", over="max"),
    TotalVariationBall(0.15, over="max"),
    TotalVariationBall(0.1),
    ParameterBall(0.3),
    KLBall(0.05) & TotalVariationBall(0.2, over="max"),
]
# Each part once: the fast set.
SOME_PAIRS = list(zip(DRIFTS, NEIGHBORHOODS, strict=True))


def keeps_its_promises(drawn: Drawn, drift: Drift, neighborhood: Neighborhood) -> None:
    game, rng = drawn.game(), drawn.rng
    beta = rng.dirichlet(np.ones(game.n_states)) + 0.01
    result = mehaml(
        game,
        ent_coef=drawn.ent_coef,
        drift=drift,
        neighborhood=neighborhood,
        policies=game.random_policies(rng),
        state_weights=beta,
        max_iterations=5000,
        tol=1e-8,
        seed=drawn.seed,
    )
    steps = np.diff(result.soft_returns)
    assert steps.size == 0 or steps.min() >= -1e-9
    assert result.converged and result.qre_residual < 1e-6
    # What deviating for ever can add is at most what one step adds, summed over the horizon.
    assert result.one_step_gain < 1e-6
    assert result.nash_gap <= result.one_step_gain / (1 - drawn.gamma) + 1e-9
    stay_members(game, neighborhood, result, beta / beta.sum())


def stay_members(game, neighborhood: Neighborhood, result, beta: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """Each agent's step of the first iterations is a member of the neighborhood."""
    for before, after in list(zip(result.history, result.history[1:], strict=False))[:3]:
        for old, new, legal in zip(before, after, game.legal, strict=True):
            reference = Reference(log_policy(old, legal), np.zeros_like(old), beta * (1 + 1e-9), ())
            change = reference.change(torch.from_numpy(log_policy(new, legal)))
            assert float(neighborhood.distance(change)) <= float(neighborhood.radius) + 1e-9  # type: ignore[arg-type]


@pytest.mark.parametrize("drift, neighborhood", SOME_PAIRS, ids=str)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(drawn=drawn_games(max_agents=3, max_states=3, max_actions=3))
def test_theorem_3_on_small_games(drawn: Drawn, drift: Drift, neighborhood: Neighborhood) -> None:
    keeps_its_promises(drawn, drift, neighborhood)


@pytest.mark.slow
@pytest.mark.parametrize("drift, neighborhood", list(product(DRIFTS, NEIGHBORHOODS)), ids=str)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(drawn=drawn_games())
def test_theorem_3_on_all_pairs(drawn: Drawn, drift: Drift, neighborhood: Neighborhood) -> None:
    keeps_its_promises(drawn, drift, neighborhood)


def test_large_returns_cost_no_digits() -> None:
    """Soft Q-values of about 230 at temperature 0.2: the maximiser must not lose the digits in which they all agree."""
    drawn = Drawn(n_actions=(4, 5, 3, 5), n_states=7, gamma=0.99, ent_coef=0.2, seed=0)
    keeps_its_promises(drawn, NoDrift(), KLBall(0.05) & TotalVariationBall(0.2, over="max"))


@pytest.mark.parametrize("order", [FixedOrder(), Greedy()], ids=str)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(drawn=drawn_games(max_agents=3, max_states=3, max_actions=3))
def test_other_sequential_orders_keep_the_promises_too(drawn: Drawn, order) -> None:  # type: ignore[no-untyped-def]
    game = drawn.game()
    result = mehaml(
        game, ent_coef=drawn.ent_coef, drift=KLDrift(0.2), order=order, policies=game.random_policies(drawn.rng)
    )
    assert np.diff(result.soft_returns).min(initial=0.0) >= -1e-9
    assert result.converged


def test_simultaneous_updates_have_no_such_guarantee() -> None:
    """Two agents that both switch at once miss each other for ever: J falls, and there is no end."""
    from masoft.tabular import MarkovGame

    game = MarkovGame.matrix([[1.0, 0.0], [0.0, 1.0]])
    start = [[0.9, 0.1], [0.1, 0.9]]
    together = mehaml(game, ent_coef=0.05, order=Simultaneous(), policies=start, max_iterations=50)
    assert not together.converged and together.nash_gap > 0.9
    assert np.diff(together.soft_returns).min() < -0.05
    assert mehaml(game, ent_coef=0.05, policies=start).converged
