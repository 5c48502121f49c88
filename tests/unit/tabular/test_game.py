"""What a Markov game accepts and refuses, each refusal by its message."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from masoft.errors import ConfigurationError
from masoft.mirror import FixedOrder, KLBall, KLDrift, WassersteinDrift
from masoft.tabular import MarkovGame, game_bytes, mehaml, qre_residual

PAYOFF = [[1.0, 0.0, 2.0], [0.0, 3.0, -1.0]]


def test_a_game_too_large_is_refused_before_anything_is_allocated() -> None:
    tracemalloc.start()
    with pytest.raises(ConfigurationError, match=r"at most 4 GiB in memory. Got '188 GiB \(\d+ bytes\)'"):
        MarkovGame.random(500, [10] * 5, 0.9, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_an_iteration_too_large_is_refused_with_its_size() -> None:
    game = MarkovGame.matrix(PAYOFF)
    with pytest.raises(ConfigurationError, match=r"10 iterations on MarkovGame\(.*max_bytes"):
        mehaml(game, ent_coef=1.0, max_iterations=10, max_bytes=100)


def test_the_stated_size_covers_the_arrays() -> None:
    game = MarkovGame.random(4, [2, 3], 0.9, np.random.default_rng(0))
    assert game_bytes(4, [2, 3]) >= game.transitions.nbytes + game.rewards.nbytes


@pytest.mark.parametrize(
    "change, message",
    [
        ({"gamma": 1.0}, r"gamma must be in \[0, 1\)"),
        ({"rewards": np.zeros(3)}, r"rewards must be an array \(n_states, A1"),
        ({"transitions": np.ones((1, 2, 2, 1))}, r"transitions must be of shape \(1, 2, 3, 1\)"),
        ({"transitions": np.full((1, 2, 3, 1), 0.5)}, r"sum to 1 over the next state. Got 'a sum off by 0.5"),
        ({"rewards": np.full((1, 2, 3), np.nan)}, "rewards must be finite"),
        ({"initial": np.array([0.5])}, "initial distribution must be 1 probabilities"),
        ({"legal": ([[True, True]],)}, r"legal actions must be one array an agent of shapes \[\(1, 2\), \(1, 3\)\]"),
        ({"legal": ([[False, False]], [[True, True, True]])}, "at least one in each state"),
    ],
)
def test_wrong_games_are_refused(change, message: str) -> None:  # type: ignore[no-untyped-def]
    right = {"rewards": np.array([PAYOFF]), "transitions": np.ones((1, 2, 3, 1)), "gamma": 0.5}
    with pytest.raises(ConfigurationError, match=message):
        MarkovGame(**{**right, **change})


@pytest.mark.parametrize(
    "policies, message",
    [
        ([[0.5, 0.5]], "policies must be 2 arrays"),
        ([[0.5, 0.5], [0.5, 0.5]], r"policy of agent 1 must be of shape \(1, 3\)"),
        ([[0.5, 0.6], [0.2, 0.3, 0.5]], "policy of agent 0 must be rows of probabilities"),
    ],
)
def test_wrong_policies_are_refused(policies, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=message):
        mehaml(MarkovGame.matrix(PAYOFF), ent_coef=1.0, policies=policies)


def test_illegal_actions_are_never_taken_and_their_numbers_never_read() -> None:
    legal = [[True, True], [True, False, True]]
    wild = np.array(PAYOFF)
    wild[:, 1] = np.nan
    results = [mehaml(MarkovGame.matrix(p, legal), ent_coef=0.7, drift=KLDrift(0.3)) for p in (PAYOFF, wild)]
    for result in results:
        assert result.converged and (result.policies[1][:, 1] == 0).all()
    np.testing.assert_array_equal(results[0].policies[1], results[1].policies[1])


def test_what_a_finite_game_has_not_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="WassersteinDrift must be a Gaussian"):
        mehaml(MarkovGame.matrix(PAYOFF), ent_coef=1.0, drift=WassersteinDrift())


def test_a_policy_without_full_support_is_refused_under_a_drift_only() -> None:
    game, start = MarkovGame.matrix(PAYOFF), [[1.0, 0.0], [0.2, 0.3, 0.5]]
    with pytest.raises(ConfigurationError, match="policy of agent 0 must be positive on each legal action"):
        mehaml(game, ent_coef=1.0, drift=KLDrift(1.0), policies=start)
    assert mehaml(game, ent_coef=1.0, policies=start).converged


def test_temperature_and_weights_are_checked() -> None:
    game = MarkovGame.matrix(PAYOFF)
    with pytest.raises(ConfigurationError, match="ent_coef must be a finite number >= 0"):
        mehaml(game, ent_coef=-1.0)
    with pytest.raises(ConfigurationError, match="ent_coef must be > 0 for a QRE.*nash_gap"):
        qre_residual(game, [[0.5, 0.5], [0.2, 0.3, 0.5]], 0.0)
    with pytest.raises(ConfigurationError, match="state_weights must be 1 positive numbers"):
        mehaml(game, ent_coef=1.0, state_weights=[0.0])


def test_a_radius_of_zero_freezes_the_policies_bit_by_bit() -> None:
    game = MarkovGame.random(3, [2, 3], 0.9, np.random.default_rng(1))
    start = game.random_policies(np.random.default_rng(2))
    result = mehaml(game, ent_coef=1.0, neighborhood=KLBall(0.0), policies=start, max_iterations=5)
    assert not result.converged
    for old, new in zip(result.history[0], result.policies, strict=True):
        np.testing.assert_array_equal(old, new)


def test_state_weights_matter_where_a_ball_averages_over_states() -> None:
    game = MarkovGame.random(2, [3, 3], 0.0, np.random.default_rng(3))
    moved = []
    for weights in ([0.99, 0.01], [0.01, 0.99]):
        result = mehaml(
            game,
            ent_coef=0.1,
            neighborhood=KLBall(0.02),
            order=FixedOrder(),
            state_weights=weights,
            max_iterations=1,
        )
        moved.append(np.abs(result.policies[0] - result.history[0][0]).max(-1))
    assert np.abs(moved[0] - moved[1]).max() > 0.01


def test_five_agents_with_five_actions_in_fifty_states() -> None:
    game = MarkovGame.random(50, [5] * 5, 0.99, np.random.default_rng(0))
    assert game_bytes(50, [5] * 5) < 70 * 2**20
    result = mehaml(game, ent_coef=1.0, drift=KLDrift(0.5), max_iterations=1)
    assert result.soft_returns[1] > result.soft_returns[0]
