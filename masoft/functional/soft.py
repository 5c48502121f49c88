"""The maximum-entropy equations of the paper, one function an equation; numbers are float32 or float64 alike.

Reference:
    Liu et al., Maximum Entropy Heterogeneous-Agent Reinforcement Learning, 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor


def soft_value(expected_q: Tensor, entropies: Tensor, ent_coef: Tensor | float) -> Tensor:
    """``V(s) = E_{a ~ pi}[Q(s, a)] + sum_i alpha_i H(pi_i(. | s))`` (Eq. 6).

    Args:
        expected_q: (batch,), the soft Q-function averaged over joint actions, or its value at one sampled one.
        entropies: (batch, n_agents), nats; at a sampled action, minus each agent's log-probability of it.
        ent_coef: alpha >= 0, scalar or (n_agents,).

    Returns:
        (batch,).
    """
    return expected_q + (ent_coef * entropies).sum(-1)


def soft_target(
    rewards: Tensor, discounts: Tensor, terminated: Tensor, next_q: Tensor, next_entropy_bonus: Tensor
) -> Tensor:
    """``y = R + gamma^k (1 - terminated) (min_j Q_j(s', a') - alpha sum_i log pi_i(a'_i | s'))`` (Eq. 5, k steps).

    Args:
        rewards: (batch,), the discounted sum of the k rewards up to ``s'``.
        discounts: (batch,), ``gamma^k`` with the number of steps really taken.
        terminated: (batch,), 1 where ``s'`` ends the task (a time limit does not).
        next_q: (batch,), the smallest target critic at ``s'`` and fresh actions.
        next_entropy_bonus: (batch,), ``-alpha sum_i log pi_i`` at the same.

    Returns:
        (batch,).
    """
    return rewards + discounts * (1 - terminated) * (next_q + next_entropy_bonus)


def sampled_actor_loss(q: Tensor, log_prob: Tensor, ent_coef: Tensor | float, active: Tensor | None = None) -> Tensor:
    """``E[alpha log pi(a | s) - Q(s, a)]`` at sampled, reparameterised actions (Eq. 10).

    Args:
        q: (batch,), differentiable in the action.
        log_prob: (batch,), the agent's log-probability of its action.
        ent_coef: alpha >= 0.
        active: (batch,), 1 where the agent is alive; None means everywhere.

    Returns:
        scalar, averaged over active states; 0 where there is none.
    """
    return active_mean(sampled_actor_losses(q, log_prob, ent_coef), active)


def sampled_actor_losses(q: Tensor, log_prob: Tensor, ent_coef: Tensor | float) -> Tensor:
    """``alpha log pi(a | s) - Q(s, a)``: `sampled_actor_loss` at each state, (batch,).

    Args:
        q, log_prob, ent_coef: as there.
    """
    return ent_coef * log_prob - q


def expected_actor_loss(
    q_all: Tensor, joint_log_probs: Tensor, ent_coef: Tensor | float, active: Tensor | None = None
) -> Tensor:
    """``E_s[sum_a pi(a | s) (alpha log pi(a | s) - Q(s, a))]``: Eq. 10 with the inner expectation taken exactly.

    Args:
        q_all: (batch, n_joint), for each of the agent's own actions.
        joint_log_probs: (batch, n_joint); about -1e9 for an illegal action, which then counts nothing.
        ent_coef: alpha >= 0.
        active: (batch,), 1 where the agent is alive; None means everywhere.

    Returns:
        scalar, averaged over active states; 0 where there is none.
    """
    return active_mean(expected_actor_losses(q_all, joint_log_probs, ent_coef), active)


def expected_actor_losses(q_all: Tensor, joint_log_probs: Tensor, ent_coef: Tensor | float) -> Tensor:
    """``sum_a pi(a | s) (alpha log pi(a | s) - Q(s, a))``: `expected_actor_loss` at each state, (batch,).

    Args:
        q_all, joint_log_probs, ent_coef: as there.
    """
    return (joint_log_probs.exp() * (ent_coef * joint_log_probs - q_all)).sum(-1)


def temperature_loss(
    ent_coef: Tensor, log_prob: Tensor, target_entropy: Tensor | float, active: Tensor | None = None
) -> Tensor:
    """``J(alpha) = E[-alpha log pi(a | s) - alpha H_target]`` (Appendix H.1); only alpha gets a gradient.

    Args:
        ent_coef: scalar alpha (or its logarithm, as stable-baselines3 does; the sign of the slope is the same).
        log_prob: (batch,); of one agent, or summed over the team for the joint temperature.
        target_entropy: the entropy to hold, nats.
        active: (batch,), 1 where the agent is alive; None means everywhere.

    Returns:
        scalar.
    """
    return active_mean(-ent_coef * (log_prob.detach() + target_entropy), active)


def boltzmann_log_probs(expected_q: Tensor, ent_coef: Tensor | float, legal: Tensor | None = None) -> Tensor:
    """``log of exp(E[Q] / alpha) / sum_b exp(E[Q] / alpha)``: the quantal response (Eq. 3).

    Args:
        expected_q: (..., n_actions), averaged over the other agents.
        ent_coef: alpha > 0.
        legal: (..., n_actions), true where an action can be taken; None allows all.

    Returns:
        (..., n_actions); minus infinity for an illegal action.
    """
    scores = expected_q / ent_coef
    if legal is not None:
        scores = scores.masked_fill(~legal.bool(), -torch.inf)
    return torch.log_softmax(scores, dim=-1)


def active_mean(per_state: Tensor, active: Tensor | None) -> Tensor:
    """Average over the states where the agent is active.

    Args:
        per_state: (batch,).
        active: (batch,), 0 or 1; None means everywhere.

    Returns:
        scalar; 0 where no state is active.
    """
    if active is None:
        return per_state.mean()
    return (active * per_state).sum() / active.sum().clamp_min(1)
