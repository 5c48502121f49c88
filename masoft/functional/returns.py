"""Advantages and returns of rollouts, for all steps at once."""

from __future__ import annotations

import torch
from torch import Tensor


def td_errors(rewards: Tensor, values: Tensor, next_values: Tensor, terminated: Tensor, gamma: float) -> Tensor:
    """``r + gamma (1 - terminated) V(s') - V(s)``.

    Args:
        rewards: (steps, n_envs).
        values: (steps, n_envs, n_values).
        next_values: the same shape; of the state that the step led to, at an episode's end of its last state.
        terminated: (steps, n_envs), 1 where that state ends the task (a time limit does not).
        gamma: discount factor.

    Returns:
        (steps, n_envs, n_values).
    """
    goes_on = (1 - terminated.to(values.dtype)).unsqueeze(-1)
    return rewards.unsqueeze(-1) + gamma * goes_on * next_values - values


def generalised_advantages(errors: Tensor, ended: Tensor, decay: float, trace: Tensor | None = None) -> Tensor:
    """``A_t = e_t + decay (1 - ended_t) c_{t+1} A_{t+1}`` (GAE, with ``c = 1`` where there is no trace).

    Args:
        errors: (steps, n_envs, n_values), the temporal-difference errors.
        ended: (steps, n_envs), 1 where the step ended an episode for any reason.
        decay: gamma times lambda.
        trace: (steps, n_envs), weights of later steps: truncated importance ratios of policies that have changed
            since the rollout; None weighs all by 1.

    Returns:
        (steps, n_envs, n_values).

    Reference:
        Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation, 2016; with a
        trace: Munos et al., Safe and Efficient Off-Policy Reinforcement Learning, 2016.
    """
    factors = decay * (1 - ended.to(errors.dtype))
    if trace is not None:
        factors[:-1] *= trace[1:]
    return reversed_recurrence(errors, factors.unsqueeze(-1))


def reversed_recurrence(inputs: Tensor, factors: Tensor) -> Tensor:
    """``x_t = inputs_t + factors_t x_{t+1}`` with ``x = 0`` after the last step, for all t at once.

    Takes log2(steps) passes over the whole tensor rather than one small operation a step.

    Args:
        inputs: (steps, ...).
        factors: (steps, ...), broadcastable to ``inputs``.

    Returns:
        the shape of ``inputs``.
    """
    total, weight, reach = inputs.clone(), factors.clone(), 1
    while reach < inputs.shape[0]:
        # total_t covers steps t to t + reach - 1; weight_t is the product of the factors over them.
        total[:-reach] = total[:-reach] + weight[:-reach] * total[reach:]
        weight[:-reach] = weight[:-reach] * weight[reach:]
        reach *= 2
    return total


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """``1 - Var[returns - values] / Var[returns]``, scalar: 1 is perfect, 0 as good as a constant; 0 where constant."""
    spread = returns.var(correction=0)
    missed = (returns - values).var(correction=0)
    return torch.where(spread > 0, 1 - missed / spread.clamp_min(1e-12), torch.zeros_like(spread))
