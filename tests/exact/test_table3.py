"""The paper's Appendix B to the last printed digit: Table 3, Figure 6, the coefficients in the text, Figure 1c."""

from __future__ import annotations

import numpy as np
import pytest
from exact_games import PAYOFF, START

from masoft.mirror import FixedOrder
from masoft.tabular import MarkovGame, advantages, evaluate, happo, haspi, mappo, qre_residual, surrogate_coefficients

# alpha: agent 1 after the first update; both agents after convergence.
TABLE_3 = {
    1.0: ((0.9990, 0.0001, 0.0009), (1.0000, 0.0000, 0.0000)),
    2.0: ((0.9603, 0.0107, 0.0290), (1.0000, 0.0000, 0.0000)),
    5.0: ((0.7083, 0.1171, 0.1747), (0.9849, 0.0075, 0.0076)),
    10.0: ((0.5254, 0.2136, 0.2609), (0.0221, 0.0224, 0.9555)),
    15.0: ((0.4596, 0.2522, 0.2882), (0.1278, 0.1354, 0.7368)),
    20.0: ((0.4269, 0.2722, 0.3009), (0.2514, 0.2790, 0.4697)),
}


@pytest.fixture
def game() -> MarkovGame:
    return MarkovGame.matrix(PAYOFF)


@pytest.mark.parametrize("alpha", TABLE_3)
def test_table_3(game: MarkovGame, alpha: float) -> None:
    first, last = TABLE_3[alpha]
    result = haspi(game, ent_coef=alpha, order=FixedOrder(), policies=START)
    assert result.converged
    assert tuple(np.round(result.history[1][0][0], 4)) == first
    for policy in result.policies:
        assert tuple(np.round(policy[0], 4)) == last
    assert result.qre_residual <= 1e-10
    assert qre_residual(game, result.policies, alpha) == pytest.approx(result.qre_residual, abs=1e-15)
    assert result.nash_gap < 1e-12


def test_value_and_advantages_of_the_initial_policies(game: MarkovGame) -> None:
    policies = game.checked_policies(START)
    assert evaluate(game, policies, 0.0).v == pytest.approx([-8.2], abs=1e-12)
    figure_6 = [[13.2, -11.8, -11.8], [-11.8, 18.2, -11.8], [-11.8, -11.8, 28.2]]
    np.testing.assert_allclose(advantages(game, START)[0], figure_6, atol=1e-12)


def test_coefficients_of_the_surrogate_objectives(game: MarkovGame) -> None:
    mappo_coefficients = surrogate_coefficients(game, START, agent=0)[0]
    np.testing.assert_allclose(mappo_coefficients, [3.2, -5.8, -3.8], atol=1e-12)
    p1, p2, p3 = moved = [0.7, 0.18, 0.12]
    happo_coefficients = surrogate_coefficients(game, START, agent=1, updated={0: moved})[0]
    expected = [
        13.2 * p1 - 11.8 * p2 - 11.8 * p3,
        -11.8 * p1 + 18.2 * p2 - 11.8 * p3,
        -11.8 * p1 - 11.8 * p2 + 28.2 * p3,
    ]
    np.testing.assert_allclose(happo_coefficients, expected, atol=1e-12)
    assert happo_coefficients[0] > 3.2 and happo_coefficients[1] < -5.8 and happo_coefficients[2] < -3.8


def test_the_first_soft_objective_has_the_coefficients_of_the_text(game: MarkovGame) -> None:
    # argmax -5 p1 - 14 p2 - 12 p3 + alpha H: the expected rewards of agent 1's actions.
    expected = (np.array(PAYOFF) * np.array(START[1])).sum(1)
    np.testing.assert_allclose(expected, [-5, -14, -12], atol=1e-12)


@pytest.mark.parametrize("clip_range", [None, 0.2])
@pytest.mark.parametrize("algorithm", [mappo, happo])
def test_figure_1c_both_end_in_the_worst_equilibrium(game: MarkovGame, algorithm, clip_range: float | None) -> None:
    result = algorithm(game, policies=START, clip_range=clip_range)
    for policy in result.policies:
        np.testing.assert_allclose(policy[0], [1, 0, 0], atol=1e-12)
    assert result.soft_returns[-1] == pytest.approx(5.0)
    assert np.diff(result.soft_returns).min() > 0
    assert np.isnan(result.qre_residual)


def test_clipping_slows_the_exact_update_to_its_range(game: MarkovGame) -> None:
    result = happo(game, policies=START, clip_range=0.2)
    assert result.history[1][0][0][0] == pytest.approx(0.6 * 1.2)
