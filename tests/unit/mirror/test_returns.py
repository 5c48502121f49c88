"""Targets of several steps against enumeration in a small game: expectations are exact, so are the biases."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from masoft.errors import ConfigurationError
from masoft.mirror import PengReturn, PlainReturn, RetraceReturn, ReturnRule, SoftReturn
from masoft.mirror.returns import RETURN_RULES

GAMMA, ALPHA, N_STATES = 0.8, 0.3, 3
JOINT = [*itertools.product(range(2), range(2))]
LAST = N_STATES
"""The state in which the game is over."""


@dataclass(frozen=True)
class Game:
    """Two agents with two actions each; ``moves`` (state, action, next state) leads out of the game now and then."""

    rewards: np.ndarray
    moves: np.ndarray

    def soft_q(self, policy: np.ndarray) -> np.ndarray:
        """Soft Q-function of a policy (state, joint action), by solving its linear equations."""
        gain, n = self._bonus(policy), self.rewards.size
        flow = self.moves[..., :LAST].reshape(n, LAST) @ np.kron(np.eye(LAST), np.ones((1, 4))) * policy.reshape(1, -1)
        constant = self.rewards + GAMMA * (self.moves[..., :LAST] @ gain)
        return np.linalg.solve(np.eye(n) - GAMMA * flow, constant.reshape(-1)).reshape(LAST, 4)

    def step_back(self, values: np.ndarray, policy: np.ndarray, entropies: bool = True) -> np.ndarray:
        """One application of the policy's (soft) Bellman operator."""
        following = (policy * values).sum(1) + (self._bonus(policy) if entropies else 0)
        return np.asarray(self.rewards + GAMMA * (self.moves[..., :LAST] @ following))

    @staticmethod
    def _bonus(policy: np.ndarray) -> np.ndarray:
        return np.asarray(-ALPHA * (policy * np.log(policy)).sum(1))


@dataclass(frozen=True)
class Known:
    """What is known of the steps between, from tables."""

    entropy_bonus: Tensor
    value: Tensor
    taken_value: Tensor
    log_ratio: Tensor


@pytest.fixture(scope="module")
def game() -> Game:
    rng = np.random.default_rng(0)
    return Game(rng.normal(size=(LAST, 4)), rng.dirichlet(np.ones(LAST + 1), size=(LAST, 4)))


def policy_of(seed: int) -> np.ndarray:
    """Independent agents' joint policy, (state, joint action)."""
    one, other = np.random.default_rng(seed).dirichlet(np.full(2, 2.0), size=(2, LAST))
    return np.array([[one[s, a] * other[s, b] for a, b in JOINT] for s in range(LAST)])


def expected_target(
    game: Game, rule: ReturnRule, n_steps: int, target: np.ndarray, actor: np.ndarray, critic: np.ndarray
) -> np.ndarray:
    """Mean of the rule's targets over all stretches that follow each state and action, by enumeration.

    Args:
        game: the game.
        rule: the rule.
        n_steps: steps of a return.
        target: the policy that is evaluated. actor: the one that acted.
        critic: (state, action), what the target critics say.
    """
    value = (target * critic).sum(1) - ALPHA * (target * np.log(target)).sum(1)
    entropy = -ALPHA * (target * np.log(target)).sum(1)
    means = np.zeros((LAST, 4))
    for state, action in itertools.product(range(LAST), range(4)):
        rows: list[tuple[float, list[tuple[int, int]], int]] = [(1.0, [(state, action)], -1)]
        for _ in range(n_steps - 1):  # states that follow, and actions there, until the game is over
            longer = []
            for weight, steps, end in rows:
                if end == LAST:
                    longer.append((weight, steps, end))
                    continue
                for nxt in range(LAST + 1):
                    arrived = weight * game.moves[(*steps[-1], nxt)]
                    if nxt == LAST:
                        longer.append((arrived, steps, LAST))
                    else:
                        longer.extend((arrived * actor[nxt, a], [*steps, (nxt, a)], -1) for a in range(4))
            rows = longer
        rows = [
            (weight * (1.0 if end == LAST else game.moves[(*steps[-1], nxt)]), steps, nxt)
            for weight, steps, end in rows
            for nxt in ([LAST] if end == LAST else range(LAST + 1))
        ]
        weights = torch.tensor([row[0] for row in rows], dtype=torch.float64)
        taken = torch.tensor([len(row[1]) for row in rows])
        padded = [row[1] + [(0, 0)] * (n_steps - len(row[1])) for row in rows]
        s, a = torch.tensor(padded).permute(2, 1, 0)
        tables = [torch.from_numpy(np.ascontiguousarray(t)) for t in (game.rewards, critic, np.log(target / actor))]
        rewards, taken_value, log_ratio = (table[s, a] for table in tables)
        between = Known(
            torch.from_numpy(entropy)[s[1:]], torch.from_numpy(value)[s[1:]], taken_value[1:], log_ratio[1:]
        )
        goes_on = torch.arange(1, n_steps).unsqueeze(1) < taken
        bootstrap = torch.from_numpy(np.append(value, 0.0))[torch.tensor([row[2] for row in rows])]
        found = rule.target(rewards, goes_on, bootstrap, GAMMA, between)
        assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
        means[state, action] = float((weights * found).sum())
    return means


PI, MU = policy_of(1), policy_of(2)


@pytest.mark.parametrize("rule", [RetraceReturn(), RetraceReturn(0.6), RetraceReturn(0.9, clip=None)])
@pytest.mark.parametrize("n_steps", [2, 3, 4])
def test_retrace_keeps_the_soft_q_function_whoever_acted(game: Game, rule: ReturnRule, n_steps: int) -> None:
    exact = game.soft_q(PI)
    np.testing.assert_allclose(game.step_back(exact, PI), exact, atol=1e-12)
    np.testing.assert_allclose(expected_target(game, rule, n_steps, PI, MU, exact), exact, atol=1e-10)


@pytest.mark.parametrize("n_steps", [2, 3])
def test_unclipped_ratios_are_the_policys_own_operator_for_any_critic(game: Game, n_steps: int) -> None:
    critic = np.random.default_rng(5).normal(size=(LAST, 4))
    wanted = critic
    for _ in range(n_steps):
        wanted = game.step_back(wanted, PI)
    found = expected_target(game, RetraceReturn(clip=None), n_steps, PI, MU, critic)
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_the_clip_moves_targets_towards_the_soft_q_function_of_the_policy_of_now(game: Game) -> None:
    critic, exact = np.zeros((LAST, 4)), game.soft_q(PI)
    for _ in range(200):
        critic = expected_target(game, RetraceReturn(), 3, PI, MU, critic)
    np.testing.assert_allclose(critic, exact, atol=1e-9)


@pytest.mark.parametrize("n_steps", [2, 3])
def test_soft_returns_are_right_where_the_policies_of_now_acted(game: Game, n_steps: int) -> None:
    critic = np.random.default_rng(6).normal(size=(LAST, 4))
    wanted = critic
    for _ in range(n_steps):
        wanted = game.step_back(wanted, PI)
    np.testing.assert_allclose(expected_target(game, SoftReturn(), n_steps, PI, PI, critic), wanted, atol=1e-10)
    np.testing.assert_allclose(expected_target(game, PengReturn(1.0), n_steps, PI, PI, critic), wanted, atol=1e-10)


def test_the_bias_of_the_plain_return_is_the_entropy_in_between(game: Game) -> None:
    exact = game.soft_q(PI)
    plain = expected_target(game, PlainReturn(), 3, PI, PI, exact)
    entropy = -ALPHA * (PI * np.log(PI)).sum(1)
    first = GAMMA * game.moves[..., :LAST] @ entropy
    second = GAMMA * game.moves[..., :LAST] @ (PI * first).sum(1)
    np.testing.assert_allclose(exact - plain, first + second, atol=1e-10)
    assert (exact - plain).min() > 0.05


@pytest.mark.parametrize("rule", [PlainReturn(), SoftReturn(), PengReturn(0.7)])
def test_uncorrected_returns_are_biased_towards_who_acted(game: Game, rule: ReturnRule) -> None:
    exact = game.soft_q(PI)
    assert np.abs(expected_target(game, rule, 3, PI, MU, exact) - exact).max() > 0.02


def test_a_trace_of_zero_is_a_return_of_one_step(game: Game) -> None:
    critic = np.random.default_rng(7).normal(size=(LAST, 4))
    for rule in (PengReturn(0.0), RetraceReturn(0.0)):
        found = expected_target(game, rule, 3, PI, MU, critic)
        np.testing.assert_allclose(found, game.step_back(critic, PI), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**20), st.sampled_from(["plain", "soft", "peng_0.4", "retrace_0.8"]))
def test_the_backward_pass_is_the_sum_along_each_stretch(n_steps: int, seed: int, form: str) -> None:
    rng = np.random.default_rng(seed)
    rule: ReturnRule = RETURN_RULES.read(form, "return_rule")
    rewards, taken = rng.normal(size=(n_steps, 6)), rng.integers(1, n_steps + 1, size=6)
    tables = rng.normal(size=(4, n_steps - 1, 6))
    bootstrap = rng.normal(size=6)
    goes_on = torch.arange(1, n_steps).unsqueeze(1) < torch.from_numpy(taken)
    found = rule.target(
        torch.from_numpy(rewards), goes_on, torch.from_numpy(bootstrap), GAMMA, Known(*map(torch.from_numpy, tables))
    )
    for row in range(6):
        last = taken[row] - 1
        total = rewards[last, row] + GAMMA * bootstrap[row]
        for k in reversed(range(last)):
            bonus, value, q, log_ratio = tables[:, k, row]
            following = {
                "plain": total,
                "soft": total + bonus,
                "peng_0.4": 0.6 * value + 0.4 * (bonus + total),
                "retrace_0.8": value + 0.8 * min(1.0, math.exp(log_ratio)) * (total - q),
            }[form]
            total = rewards[k, row] + GAMMA * following
        assert float(found[row]) == pytest.approx(total, abs=1e-12)


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"PengReturn\.trace|trace"):
        PengReturn(1.5)
    with pytest.raises(ConfigurationError, match="clip"):
        RetraceReturn(clip=0.0)
    with pytest.raises(ConfigurationError, match="'retrace'"):
        RETURN_RULES.read("watkins", "return_rule")
