"""How far a joint policy is from a quantal response equilibrium, and what a deviating agent could gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from masoft.errors import ConfigurationError, explain
from masoft.functional.soft import boltzmann_log_probs
from masoft.tabular.evaluate import average_over, entropies, evaluate, expect_others
from masoft.tabular.game import Array, MarkovGame


def quantal_response(expected_q: Array, ent_coef: float, legal: NDArray[np.bool_]) -> Array:
    """The Boltzmann policy of Eq. 3 for given expected Q-values.

    Args:
        expected_q: (n_states, Ai), averaged over the other agents.
        ent_coef: alpha >= 0; at 0 the best legal actions share the probability.
        legal: (n_states, Ai).

    Returns:
        (n_states, Ai), rows of probabilities.
    """
    if ent_coef == 0:
        masked = np.where(legal, expected_q, -np.inf)
        best = masked >= masked.max(-1, keepdims=True)
        shared: Array = best / best.sum(-1, keepdims=True)
        return shared
    log_probs = boltzmann_log_probs(torch.from_numpy(expected_q), ent_coef, torch.from_numpy(legal))
    response: Array = log_probs.exp().numpy()
    return response


def qre_residual(game: MarkovGame, policies: Sequence[ArrayLike], ent_coef: float) -> float:
    """``max |pi_i(a | s) - response_i(a | s)|`` over agents, states and actions; 0 exactly at a QRE (Theorem 1).

    Args:
        game: the game.
        policies: one array an agent.
        ent_coef: alpha > 0.

    Raises:
        ConfigurationError: alpha is 0, where best responses are not unique; use `nash_gap`.
    """
    if not ent_coef > 0:
        cure = "At 0 best responses are not unique: use nash_gap, which is 0 at a Nash equilibrium."
        raise ConfigurationError(explain("ent_coef", "> 0 for a QRE", ent_coef, cure))
    checked = game.checked_policies(policies)
    return residual_of(game, checked, ent_coef, evaluate(game, checked, ent_coef).q)


def residual_of(game: MarkovGame, policies: Sequence[Array], ent_coef: float, q: Array) -> float:
    """`qre_residual` where the soft Q-function (n_states, A1, ..., An) is known."""
    assert game.legal is not None
    worst = 0.0
    for agent, policy in enumerate(policies):
        response = quantal_response(expect_others(q, policies, [agent]), ent_coef, game.legal[agent])
        worst = max(worst, float(np.abs(policy - response).max()))
    return worst


def one_step_gain(game: MarkovGame, policies: Sequence[Array], ent_coef: float, q: Array) -> float:
    """Largest rise of ``E[Q] + alpha H_i`` that one agent could make in one state, >= 0; 0 at an equilibrium.

    Args:
        game: the game.
        policies: one array an agent.
        ent_coef: alpha >= 0.
        q: the soft Q-function, (n_states, A1, ..., An).
    """
    assert game.legal is not None
    worst = 0.0
    for agent, policy in enumerate(policies):
        expected = expect_others(q, policies, [agent])
        response = quantal_response(expected, ent_coef, game.legal[agent])
        gain = ((response - policy) * expected).sum(-1)
        gain += ent_coef * (entropies([response]) - entropies([policy]))[:, 0]
        worst = max(worst, float(gain.max()))
    return worst


def joint_kl(game: MarkovGame, policies: Sequence[ArrayLike], ent_coef: float, q: Array) -> Array:
    """``KL(prod_i pi_i || exp(Q / alpha) / Z)`` in each state: what Eq. 9 minimises, (n_states,), nats.

    Args:
        game: the game.
        policies: one array an agent.
        ent_coef: alpha > 0.
        q: (n_states, A1, ..., An), the soft Q-function of the old joint policy.
    """
    checked = game.checked_policies(policies)
    scores = np.where(game.legal_joint, q / ent_coef, -np.inf).reshape(game.n_states, -1)
    top = scores.max(-1)
    log_z = top + np.log(np.exp(scores - top[:, None]).sum(-1))
    divergence: Array = log_z - entropies(checked).sum(-1) - expect_others(q, checked, ()) / ent_coef
    return divergence


def nash_gap(game: MarkovGame, policies: Sequence[ArrayLike], ent_coef: float = 0.0) -> float:
    """The most that one agent can add to J by changing its own policy alone, exactly; 0 at an equilibrium.

    Each agent faces a single-agent problem once the others are fixed; soft policy iteration solves it.

    Args:
        game: the game.
        policies: one array an agent.
        ent_coef: alpha >= 0 of the objective J; 0 is the gap of the ordinary game (a Nash equilibrium).

    Returns:
        >= 0 up to rounding.
    """
    checked = game.checked_policies(policies)
    now = evaluate(game, checked, ent_coef).soft_return
    return max(0.0, *(_best_return(game, checked, ent_coef, agent) - now for agent in range(game.n_agents)))


def _best_return(game: MarkovGame, policies: Sequence[Array], ent_coef: float, agent: int) -> float:
    """J when one agent answers the others optimally."""
    assert game.legal is not None and game.initial is not None
    others = [policy for other, policy in enumerate(policies) if other != agent]
    bonus = ent_coef * entropies(others).sum(-1) if others else np.zeros(game.n_states)
    rewards = expect_others(game.rewards, policies, [agent]) + bonus[:, None]
    transitions = _induced(game, policies, agent)
    policy, best = policies[agent], -np.inf
    for _ in range(1000):
        reward = (policy * rewards).sum(-1) + ent_coef * entropies([policy])[:, 0]
        moves = np.einsum("sa,sat->st", policy, transitions)
        v = np.linalg.solve(np.eye(game.n_states) - game.gamma * moves, reward)
        value = float(game.initial @ v)
        if value <= best + 1e-15 * max(1.0, abs(best)):
            break
        best = value
        policy = quantal_response(rewards + game.gamma * (transitions @ v), ent_coef, game.legal[agent])
    return max(best, value)


def _induced(game: MarkovGame, policies: Sequence[Array], agent: int) -> Array:
    """Transitions (n_states, Ai, n_states) that one agent sees when the others' policies are fixed."""
    table = game.transitions
    for other in reversed(range(game.n_agents)):
        if other != agent:
            table = average_over(table, policies[other], other + 1)
    return table
