"""Exact joint soft policy evaluation: one linear solve in float64 instead of the limit of Lemma 4.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

import numpy as np

from masoft.tabular.game import Array, MarkovGame


@dataclass(frozen=True, eq=False)
class SoftValues:
    """What a joint policy is worth.

    Args:
        q: (n_states, A1, ..., An), the joint soft Q-function (Eq. 4).
        v: (n_states,), the soft value function (Eq. 6).
        soft_return: J of Eq. 2 (discounted), the initial states' mean of ``v``.
    """

    q: Array
    v: Array
    soft_return: float


def entropies(policies: Sequence[Array]) -> Array:
    """Entropy of each agent's policy at each state, (n_states, n_agents), nats."""
    return np.stack([-_x_log_x(policy).sum(-1) for policy in policies], axis=-1)


def joint_policy(policies: Sequence[Array]) -> Array:
    """Probability of each joint action, (n_states, A1, ..., An)."""
    joint = policies[0]
    for policy in policies[1:]:
        joint = joint[..., None] * policy.reshape(policy.shape[0], *(1,) * (joint.ndim - 1), policy.shape[1])
    return joint


def expect_others(table: Array, policies: Sequence[Array], agents: Sequence[int]) -> Array:
    """Average a table over the actions of all agents but the given ones, each by its policy.

    Args:
        table: (n_states, A1, ..., An) or (n_states, A1, ..., An, extra).
        policies: one array an agent.
        agents: whose action axes stay, in ascending order.

    Returns:
        (n_states, A of those agents..., extra where the table has it).
    """
    for agent in reversed(range(len(policies))):
        if agent not in agents:
            table = average_over(table, policies[agent], agent + 1)
    return table


def average_over(table: Array, policy: Array, axis: int) -> Array:
    """Average one axis of a table whose first axis is the state.

    Args:
        table: (n_states, ..., Ai, ...).
        policy: (n_states, Ai).
        axis: the place of Ai in the table.
    """
    axes = ascii_letters[: table.ndim]
    averaged: Array = np.einsum(f"{axes},{axes[0]}{axes[axis]}->{axes[:axis]}{axes[axis + 1 :]}", table, policy)
    return averaged


def soft_bellman(game: MarkovGame, policies: Sequence[Array], ent_coef: float, q: Array) -> Array:
    """One application of the soft Bellman operator to any Q-function (Eq. 5 and 6).

    Args:
        game: the game.
        policies: one array an agent.
        ent_coef: alpha >= 0.
        q: (n_states, A1, ..., An).

    Returns:
        the same shape.
    """
    v = expect_others(q, policies, ()) + ent_coef * entropies(policies).sum(-1)
    backup: Array = game.rewards + game.gamma * (game.transitions @ v)
    return backup


def evaluate(game: MarkovGame, policies: Sequence[Array], ent_coef: float) -> SoftValues:
    """The fixed point of the soft Bellman operator, from ``(I - gamma P) v = r + alpha sum_i H_i``.

    Args:
        game: the game.
        policies: one array (n_states, Ai) an agent.
        ent_coef: alpha >= 0.
    """
    n_states = game.n_states
    weights = joint_policy(policies).reshape(n_states, 1, -1)
    reward = (weights[:, 0] * game.rewards.reshape(n_states, -1)).sum(-1) + ent_coef * entropies(policies).sum(-1)
    if game.gamma == 0:
        v, q = reward, game.rewards
    else:
        moves = (weights @ game.transitions.reshape(n_states, -1, n_states))[:, 0]
        v = np.linalg.solve(np.eye(n_states) - game.gamma * moves, reward)
        q = game.rewards + game.gamma * (game.transitions @ v)
    assert game.initial is not None
    return SoftValues(q, v, float(game.initial @ v))


def multi_agent_q(
    game: MarkovGame, policies: Sequence[Array], ent_coef: float, values: SoftValues, agents: Sequence[int]
) -> Array:
    """``Q^{i_1:m}``: the soft Q-function of some agents' actions, the others' averaged out with their entropy (Eq. 7).

    Args:
        game: the game.
        policies: one array an agent.
        ent_coef: alpha >= 0.
        values: of these policies.
        agents: i_1 to i_m; the axes of the result are in ascending order of the agents.

    Returns:
        (n_states, A of those agents...); (n_states,), the soft value itself, for no agents.
    """
    kept = sorted(agents)
    rest = [agent for agent in range(game.n_agents) if agent not in kept]
    expected = expect_others(values.q, policies, kept)
    bonus = ent_coef * entropies(policies)[:, rest].sum(-1)
    q: Array = expected + bonus.reshape(-1, *(1,) * len(kept))
    return q


def _x_log_x(probabilities: Array) -> Array:
    """``p log p``, 0 at 0."""
    return probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0))
