"""The deterministic update: agents follow the slope of a joint critic, in pieces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.buffers.replay import TeamBatch
from masoft.distributions import Categoricals
from masoft.functional.actions import encode_action
from masoft.functional.soft import active_mean
from masoft.learners.critics import fit_critics
from masoft.learners.descent import descend
from masoft.learners.metrics import Metrics
from masoft.learners.multi_step import Backup, Judge, States
from masoft.mirror.discrete_gradient import DiscreteGradient
from masoft.networks.critic import Turns
from masoft.networks.targets import follow
from masoft.policies.deterministic import DeterministicPolicy


@dataclass(frozen=True)
class DeterministicUpdate(Judge):
    """What one update does, piece by piece.

    Args:
        policy: whose networks learn.
        choices: every encoded action of agents that are enumerated, see `exact_choices`.
        discrete_gradient: how categorical agents follow the critic that are not.
        backup: the critic's target.
        noise, noise_clip: standard deviation and bound of the noise on Box actions in the target.
        generator: source of all draws.
        metrics: where figures go.
    """

    policy: DeterministicPolicy
    choices: tuple[Tensor | None, ...]
    discrete_gradient: DiscreteGradient
    backup: Backup
    noise: float
    noise_clip: float
    generator: torch.Generator
    metrics: Metrics

    def fit_critics(self, batch: TeamBatch) -> None:
        """One step of all critics towards the Bellman target."""
        fit_critics(self.policy, batch, self.critic_target(batch), self.metrics)

    @torch.no_grad()
    def critic_target(self, batch: TeamBatch) -> Tensor:
        """``y = R + gamma^k (1 - terminated) min_j Q_j(s', mu'(s') + clipped noise)``, (batch,)."""
        return self.backup(batch, self)

    def fresh(self, at: States) -> tuple[Tensor, Tensor]:
        """What the target actors do, with clipped noise on Boxes, as the critic sees it; there is no entropy."""
        encoded = []
        for i, agent in enumerate(self.policy.team.agents):
            action = self.policy.target_distribution(i, at.observations[i], at.masks).mode()
            if agent.action.is_box and self.noise > 0:
                noise = torch.randn(action.shape, generator=self.generator, device=action.device)
                limit = self.noise_clip
                action = (action + (noise * self.noise).clamp(-limit, limit)).clamp(-1, 1)
            encoded.append(encode_action(agent.action, action))
        actions = torch.cat(encoded, dim=-1)
        return actions, torch.zeros(len(actions), device=actions.device)

    def judged(self, at: States, actions: Tensor) -> Tensor:
        """The target critics' values as one, (rows,)."""
        critic = self.policy.critic_target
        return critic.judged(critic.expected(critic(at.state, actions)))

    def open(self, batch: TeamBatch) -> Turns:
        """The critic at what all actors do now, open for turns."""
        actions = [self.action(i, batch) for i in range(self.policy.team.n_agents)]
        return self.policy.critic.turns(batch.state, torch.cat(actions, dim=-1))

    @torch.no_grad()
    def action(self, i: int, batch: TeamBatch) -> Tensor:
        """What agent i's actor does at the batch's observations, as the critic sees it."""
        action = self.policy.distribution(i, batch.observations[i], batch.masks).mode()
        return encode_action(self.policy.team.agents[i].action, action)

    def improve(self, i: int, critic: Turns, batch: TeamBatch) -> None:
        """A gradient step of agent i on ``-Q``, the others playing their current actions."""
        now = self.policy.distribution(i, batch.observations[i], batch.masks)
        where, choices = self.policy.team.encoded_slices[i], self.choices[i]
        if not isinstance(now, Categoricals):
            q_values = critic.value(where, now.action)
        elif choices is None:
            q_values = critic.value(where, self.discrete_gradient.draw(now, self.generator)[0])
        else:
            q_values = (now.joint_log_probs().exp() * critic.value_of_each(where, choices)).sum(-1)
        loss = active_mean(-q_values, None if batch.active is None else batch.active[:, i])
        descend(self.policy.actor_optimizers[i], loss)
        self.metrics.add("actor_loss", loss)

    def redraw(self, i: int, critic: Turns, batch: TeamBatch) -> None:
        """Let the agents after i meet what its new policy does."""
        critic.replace(self.policy.team.encoded_slices[i], self.action(i, batch))

    def follow(self, tau: float) -> None:
        """Polyak averaging of the target critic and the target actors, by the share ``tau``."""
        self.policy.critic_target.follow(self.policy.critic, tau)
        follow(self.policy.actors_target, self.policy.actors, tau)
