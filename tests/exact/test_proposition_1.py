"""Proposition 1, examined: what its updates do minimise, and what one sweep does not reach."""

from __future__ import annotations

import numpy as np
import pytest
from exact_games import PAYOFF, START, Drawn, drawn_games
from hypothesis import given, settings

from masoft.mirror import FixedOrder
from masoft.tabular import MarkovGame, evaluate, expect_others, haspi, joint_kl


def smallest_joint_kl(game: MarkovGame, ent_coef: float, q: np.ndarray, starts: int, seed: int = 0) -> np.ndarray:
    """The least joint KL found over independent policies, all actions legal: agent by agent, from many starts."""
    rng, best = np.random.default_rng(seed), np.full(game.n_states, np.inf)
    for _ in range(starts):
        policies = list(game.random_policies(rng, concentration=0.3))
        for _ in range(400):
            before = list(policies)
            for agent in range(game.n_agents):
                scores = expect_others(q, policies, [agent]) / ent_coef
                weights = np.exp(scores - scores.max(-1, keepdims=True))
                policies[agent] = weights / weights.sum(-1, keepdims=True)
            if max(np.abs(new - old).max() for new, old in zip(policies, before, strict=True)) < 1e-12:
                break
        best = np.minimum(best, joint_kl(game, policies, ent_coef, q))
    return best


def test_the_joint_kl_is_that_of_equation_9_written_out() -> None:
    drawn = Drawn((2, 3), 2, 0.9, 0.7, seed=3, legal_share=1.0)
    game = drawn.game()
    policies = game.random_policies(drawn.rng)
    q = evaluate(game, policies, 0.7).q
    joint = np.einsum("sa,sb->sab", *policies)
    target = np.exp(q / 0.7) / np.exp(q / 0.7).sum((1, 2), keepdims=True)
    written_out = (joint * np.log(joint / target)).sum((1, 2))
    np.testing.assert_allclose(joint_kl(game, policies, 0.7, q), written_out, atol=1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(drawn_games(max_states=4))
def test_each_update_minimises_the_joint_kl_over_its_own_policy(drawn: Drawn) -> None:
    game, rng = drawn.game(), drawn.rng
    order = tuple(rng.permutation(game.n_agents).tolist())
    start = game.random_policies(rng)
    swept = haspi(game, ent_coef=drawn.ent_coef, order=FixedOrder(order), policies=start, max_iterations=1).policies
    q = evaluate(game, start, drawn.ent_coef).q
    current, before = list(start), joint_kl(game, start, drawn.ent_coef, q)
    for agent in order:
        current[agent] = swept[agent]
        after = joint_kl(game, current, drawn.ent_coef, q)
        assert (after <= before + 1e-12 * (1 + before)).all()
        for _ in range(5):
            rival = game.random_policies(rng, concentration=float(rng.choice([0.1, 1.0, 50.0])))[agent]
            for share in (1.0, 1e-2, 1e-4):
                near = [rival * share + p * (1 - share) if i == agent else p for i, p in enumerate(current)]
                assert (joint_kl(game, near, drawn.ent_coef, q) >= after - 1e-11 * (1 + after)).all()
        before = after


def test_one_sweep_does_not_reach_the_joint_minimiser_in_the_papers_own_game() -> None:
    game = MarkovGame.matrix(PAYOFF)
    q = evaluate(game, game.checked_policies(START), 10.0).q
    after_one = haspi(game, ent_coef=10.0, order=FixedOrder(), policies=START, max_iterations=1).policies
    reached = joint_kl(game, after_one, 10.0, q)[0]
    least = smallest_joint_kl(game, 10.0, q, starts=30)[0]
    assert reached == pytest.approx(1.3777, abs=1e-4)
    assert least == pytest.approx(0.4509, abs=1e-4)


def test_even_many_sweeps_may_end_in_another_local_minimum() -> None:
    game = MarkovGame.matrix(PAYOFF)
    q = evaluate(game, game.checked_policies(START), 5.0).q
    limit = haspi(game, ent_coef=5.0, order=FixedOrder(), policies=START)
    assert limit.converged
    reached = joint_kl(game, limit.policies, 5.0, q)[0]
    assert reached == pytest.approx(3.1431, abs=1e-4)
    assert smallest_joint_kl(game, 5.0, q, starts=30)[0] == pytest.approx(0.1702, abs=1e-4)


def test_one_sweep_is_enough_where_the_q_function_is_a_sum_over_agents() -> None:
    rng = np.random.default_rng(0)
    payoff = rng.normal(size=3)[:, None, None] + rng.normal(size=2)[None, :, None] + rng.normal(size=4)[None, None]
    game = MarkovGame.matrix(payoff)
    one = haspi(game, ent_coef=0.6, policies=game.random_policies(rng), max_iterations=1).policies
    assert joint_kl(game, one, 0.6, game.rewards)[0] == pytest.approx(0.0, abs=1e-12)


def test_on_random_games_one_sweep_falls_short_always_and_the_limit_at_times() -> None:
    """50 games of 2 agents with 3 actions, alpha 1: what the theory page reports."""
    short, never = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        game = MarkovGame.matrix(rng.normal(size=(3, 3)) * 2)
        one = haspi(game, ent_coef=1.0, policies=game.random_policies(rng), max_iterations=1, seed=seed).policies
        least = smallest_joint_kl(game, 1.0, game.rewards, starts=8, seed=seed)[0]
        short.append(joint_kl(game, one, 1.0, game.rewards)[0] - least)
        limit = haspi(game, ent_coef=1.0, policies=one).policies
        never.append(joint_kl(game, limit, 1.0, game.rewards)[0] - least)
    assert min(short) > -1e-9 and min(never) > -1e-9
    assert sum(gap > 1e-6 for gap in short) == 50
    assert sum(gap > 1e-6 for gap in never) == 3
    assert np.median(short) == pytest.approx(0.15, abs=0.01)
