"""One step of an on-policy critic on the returns of a rollout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.functional.soft import active_mean
from masoft.functional.surrogate import clipped_square
from masoft.learners.metrics import Metrics
from masoft.networks.torso import Sequences
from masoft.networks.value import CriticInputs
from masoft.policies.on_policy_team import OnPolicyTeamPolicy


@dataclass(frozen=True)
class ValueBatch:
    """A minibatch for the critic.

    Args:
        inputs: what the critic sees. sequences: how its rows form sequences; None without memory.
        returns, old: (batch, n_values), targets and the values before this iteration, in the critic's units.
        active: (batch, n_values) or None.
    """

    inputs: CriticInputs
    sequences: Sequences | None
    returns: Tensor
    old: Tensor
    active: Tensor | None


@dataclass(frozen=True)
class ValueStep:
    """Moves the critic, if any of its weights learn.

    Args:
        policy: whose critic moves.
        clip_range: of the values around the old ones; None: they are not clipped.
        vf_coef: factor of the loss.
        max_grad_norm: longer gradients are scaled down to it; None leaves them.
        metrics: where figures go.
    """

    policy: OnPolicyTeamPolicy
    clip_range: float | None
    vf_coef: float
    max_grad_norm: float | None
    metrics: Metrics

    def __call__(self, batch: ValueBatch) -> None:
        """One step on the mean squared error of the values."""
        parameters = [weight for weight in self.policy.critic.parameters() if weight.requires_grad]
        values, _ = self.policy.critic(batch.inputs, batch.sequences)
        loss = active_mean(clipped_square(values, batch.returns, batch.old, self.clip_range), batch.active)
        if parameters:
            self.policy.critic_optimizer.zero_grad()
            (self.vf_coef * loss).backward()
            if self.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm, foreach=True)
            self.policy.critic_optimizer.step()
        self.metrics.add("value_loss", loss)
