"""Distributions over many states as rows that can be picked, joined and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from masoft.functional.distributions import Categoricals, SquashedGaussian
from masoft.functional.fixed import FixedAction
from masoft.functional.gaussian import DiagonalGaussian

PolicyRows: TypeAlias = DiagonalGaussian | SquashedGaussian | Categoricals | FixedAction
"""Any action distribution of an on-policy actor, over a batch of states."""


def pick_rows(policy: PolicyRows, rows: Tensor | None) -> PolicyRows:
    """The distribution at some of its states.

    Args:
        policy: over (batch,) states.
        rows: (k,), numbers of states; None keeps all.
    """
    if rows is None:
        return policy
    if isinstance(policy, Categoricals):
        return Categoricals(policy.logits[rows], policy.nvec, None if policy.mask is None else policy.mask[rows])
    if isinstance(policy, FixedAction):
        return FixedAction(policy.action[rows])
    log_std = policy.log_std if policy.log_std.dim() == 1 else policy.log_std[rows]
    return type(policy)(policy.mean[rows], log_std)


def join_rows(policies: Sequence[PolicyRows]) -> PolicyRows:
    """Distributions over the same kind of action as one over all their states, in order."""
    first = policies[0]
    if len(policies) == 1:
        return first
    if isinstance(first, Categoricals):
        logits = torch.cat([policy.logits for policy in policies if isinstance(policy, Categoricals)])
        masks = [policy.mask for policy in policies if isinstance(policy, Categoricals)]
        known = [mask for mask in masks if mask is not None]
        return Categoricals(logits, first.nvec, torch.cat(known) if known else None)
    if isinstance(first, FixedAction):
        return FixedAction(torch.cat([policy.action for policy in policies if isinstance(policy, FixedAction)]))
    gaussians = [policy for policy in policies if isinstance(policy, DiagonalGaussian | SquashedGaussian)]
    means = torch.cat([policy.mean for policy in gaussians])
    return type(first)(means, torch.cat([policy.log_std.expand_as(policy.mean) for policy in gaussians]))


def keep(policy: PolicyRows) -> PolicyRows:
    """A copy outside the graph that later changes of the network leave alone."""
    if isinstance(policy, Categoricals):
        return Categoricals(policy.logits.detach().clone(), policy.nvec, policy.mask)
    if isinstance(policy, FixedAction):
        return FixedAction(policy.action.detach().clone())
    return type(policy)(policy.mean.detach().clone(), policy.log_std.detach().clone())


def entropy_of(policy: PolicyRows, generator: torch.Generator | None = None) -> Tensor:
    """Entropy at each state, (batch,): exact, or minus the log-density of a fresh draw for a squashed Gaussian.

    The draw is reparameterised and apart from any action taken, so the estimate has the right mean and slope.
    """
    if isinstance(policy, SquashedGaussian):
        return -policy.sample_with_log_prob(generator)[1]
    return policy.entropy()
