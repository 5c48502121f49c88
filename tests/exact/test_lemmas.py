"""The lemmas and Theorem 1 on random games, each against its own definition written out once more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from exact_games import Drawn, drawn_games
from hypothesis import given, settings

from masoft.mirror import FixedOrder
from masoft.tabular import (
    MarkovGame,
    entropies,
    evaluate,
    haspi,
    multi_agent_q,
    nash_gap,
    one_step_gain,
    qre_residual,
    soft_bellman,
)

FEW = settings(max_examples=25, deadline=None, derandomize=True)


@FEW
@given(drawn_games())
def test_lemma_4_1_the_soft_bellman_operator_contracts_to_the_exact_values(drawn: Drawn) -> None:
    game, rng = drawn.game(), drawn.rng
    policies = game.random_policies(rng)
    q, other = rng.normal(size=(2, *game.rewards.shape)) * 10
    before = np.abs(q - other)[game.legal_joint].max()
    once, other_once = (soft_bellman(game, policies, drawn.ent_coef, table) for table in (q, other))
    assert np.abs(once - other_once).max() <= game.gamma * before + 1e-12
    exact = evaluate(game, policies, drawn.ent_coef)
    scale = 1 + np.abs(exact.q).max()
    assert np.abs(soft_bellman(game, policies, drawn.ent_coef, exact.q) - exact.q).max() <= 1e-12 * scale
    for _ in range(200):
        q = soft_bellman(game, policies, drawn.ent_coef, q)
    assert np.abs(q - exact.q).max() <= game.gamma**200 * (scale + 100) * 10 + 1e-11 * scale


def test_values_by_rolling_the_game_out_step_by_step() -> None:
    """J of Eq. 2 as a sum over time, with the state distribution moved by hand."""
    drawn = Drawn((2, 3), 3, 0.9, 0.7, seed=5)
    game, policies = drawn.game(), drawn.game().random_policies(drawn.rng)
    joint = np.einsum("sa,sb->sab", *policies)
    state, total = game.initial, 0.0
    for t in range(400):
        reward = np.einsum("s,sab,sab->", state, joint, game.rewards)
        bonus = drawn.ent_coef * (state @ entropies(policies).sum(-1))
        total += game.gamma**t * (reward + bonus)
        state = np.einsum("s,sab,sabt->t", state, joint, game.transitions)
    assert evaluate(game, policies, drawn.ent_coef).soft_return == pytest.approx(total, abs=1e-12)


def brute_force_q(game: MarkovGame, policies, ent_coef: float, kept: list[int], state: int, chosen: dict) -> float:  # type: ignore[no-untyped-def,type-arg]
    """Eq. 7 by enumeration of the joint actions that agree with ``chosen``."""
    values = evaluate(game, policies, ent_coef)
    rest = [i for i in range(game.n_agents) if i not in kept]
    total = 0.0
    for others in itertools.product(*(range(game.n_actions[i]) for i in rest)):
        action = {**chosen, **dict(zip(rest, others, strict=True))}
        weight = np.prod([policies[i][state, action[i]] for i in rest])
        total += weight * values.q[(state, *(action[i] for i in range(game.n_agents)))]
    bonus = sum(-(p * np.log(np.where(p > 0, p, 1))).sum() for p in (policies[i][state] for i in rest))
    return float(total + ent_coef * bonus)


def test_definition_1_and_lemma_a_1_advantages_decompose_along_any_order() -> None:
    drawn = Drawn((2, 3, 2), 2, 0.9, 0.8, seed=11)
    game = drawn.game()
    policies = game.random_policies(drawn.rng)
    values = evaluate(game, policies, drawn.ent_coef)
    np.testing.assert_array_equal(multi_agent_q(game, policies, drawn.ent_coef, values, [0, 1, 2]), values.q)
    v = multi_agent_q(game, policies, drawn.ent_coef, values, [])
    np.testing.assert_allclose(v, values.v, atol=1e-12)
    action = {0: 1, 1: 2, 2: 0}
    for order in itertools.permutations(range(3)):
        total = 0.0
        for m, agent in enumerate(order):
            before = {i: action[i] for i in order[:m]}
            after = {**before, agent: action[agent]}
            term = brute_force_q(game, policies, drawn.ent_coef, list(after), 1, after)
            total += term - brute_force_q(game, policies, drawn.ent_coef, list(before), 1, before)
            table = multi_agent_q(game, policies, drawn.ent_coef, values, list(after))
            assert table[(1, *(after[i] for i in sorted(after)))] == pytest.approx(term, abs=1e-12)
        assert total == pytest.approx(values.q[1, 1, 2, 0] - values.v[1], abs=1e-12)


@FEW
@given(drawn_games())
def test_lemma_4_2_one_sweep_raises_every_soft_q_value(drawn: Drawn) -> None:
    game = drawn.game()
    result = haspi(game, ent_coef=drawn.ent_coef, policies=game.random_policies(drawn.rng), max_iterations=1)
    before, after = (evaluate(game, policies, drawn.ent_coef) for policies in (result.history[0], result.policies))
    scale = 1 + np.abs(before.q).max()
    assert (after.q - before.q).min() >= -1e-12 * scale
    assert (after.v - before.v).min() >= -1e-12 * scale
    assert after.soft_return >= before.soft_return - 1e-12 * scale


@FEW
@given(drawn_games(max_states=4))
def test_theorem_1_boltzmann_policies_are_those_that_no_agent_can_improve(drawn: Drawn) -> None:
    game, rng = drawn.game(), drawn.rng
    result = haspi(game, ent_coef=drawn.ent_coef, policies=game.random_policies(rng), max_iterations=3000)
    assert result.converged and result.qre_residual <= 1e-10
    assert result.nash_gap <= 1e-9
    best = result.soft_returns[-1]
    for agent, deviation in enumerate(game.random_policies(rng)):
        changed = [deviation if i == agent else p for i, p in enumerate(result.policies)]
        assert evaluate(game, changed, drawn.ent_coef).soft_return <= best + 1e-12 * (1 + abs(best))
    # The other way round: where a policy is no Boltzmann response, some agent gains by deviating.
    off = game.random_policies(rng)
    if qre_residual(game, off, drawn.ent_coef) > 1e-3:
        q = evaluate(game, off, drawn.ent_coef).q
        assert one_step_gain(game, off, drawn.ent_coef, q) > 0
        assert nash_gap(game, off, drawn.ent_coef) > 0


def test_theorem_2_every_order_ends_in_an_equilibrium() -> None:
    drawn = Drawn((3, 2, 3), 3, 0.9, 0.5, seed=2)
    game = drawn.game()
    for order in itertools.permutations(range(3)):
        result = haspi(game, ent_coef=0.5, order=FixedOrder(order), policies=game.random_policies(drawn.rng))
        assert result.converged and result.nash_gap < 1e-9
