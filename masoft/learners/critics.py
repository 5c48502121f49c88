"""One step of a joint critic, whatever its target is made of."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.optim import Optimizer

from masoft.buffers.replay import TeamBatch
from masoft.functional.actions import encode_joint_action
from masoft.learners.descent import descend
from masoft.learners.metrics import Metrics
from masoft.networks.critic import Critic
from masoft.spec import TeamSpec


class WithCritic(Protocol):
    """A policy that has a joint critic."""

    team: TeamSpec
    critic: Critic
    critic_optimizer: Optimizer


def fit_critics(policy: WithCritic, batch: TeamBatch, target: Tensor, metrics: Metrics) -> None:
    """One step of all critics on their loss, by default the mean squared Bellman residual.

    Args:
        policy: whose critic learns.
        batch: the minibatch.
        target: (batch,).
        metrics: where figures go.
    """
    critic = policy.critic
    prediction = critic(batch.state, encode_joint_action(policy.team, batch.actions))
    loss = critic.loss(prediction, target)
    if loss.requires_grad:
        descend(policy.critic_optimizer, loss)
    metrics.add("critic_loss", loss)
    metrics.add("q_value", critic.expected(prediction).mean())
