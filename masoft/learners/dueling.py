"""The dueling update: a joint critic teaches each agent the values of its own actions, in pieces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.buffers.replay import TeamBatch
from masoft.functional.actions import encode_action
from masoft.functional.soft import active_mean
from masoft.learners.critics import fit_critics
from masoft.learners.descent import descend
from masoft.learners.metrics import Metrics
from masoft.learners.multi_step import Backup, Judge, States
from masoft.networks.critic import Turns
from masoft.policies.dueling import DuelingPolicy


@dataclass(frozen=True)
class DuelingUpdate(Judge):
    """What one update does, piece by piece.

    Args:
        policy: whose networks learn.
        choices: every encoded action of each agent.
        backup: the critic's target.
        metrics: where figures go.
    """

    policy: DuelingPolicy
    choices: tuple[Tensor | None, ...]
    backup: Backup
    metrics: Metrics

    def fit_critics(self, batch: TeamBatch) -> None:
        """One step of all critics towards the target of double Q-learning."""
        fit_critics(self.policy, batch, self.critic_target(batch), self.metrics)

    @torch.no_grad()
    def critic_target(self, batch: TeamBatch) -> Tensor:
        """Double Q-learning: the agents' own values choose, the target critic judges, (batch,)."""
        return self.backup(batch, self)

    def fresh(self, at: States) -> tuple[Tensor, Tensor]:
        """The agents' best actions by their own values, as the critic sees them; there is no entropy."""
        agents = range(self.policy.team.n_agents)
        chosen = torch.cat([self.greedy(i, at.observations[i], at.masks) for i in agents], dim=-1)
        return chosen, torch.zeros(len(chosen), device=chosen.device)

    def judged(self, at: States, actions: Tensor) -> Tensor:
        """The target critics' values as one, (rows,)."""
        critic = self.policy.critic_target
        return critic.judged(critic.expected(critic(at.state, actions)))

    def open(self, batch: TeamBatch) -> Turns:
        """The critic at the agents' best actions, open for turns."""
        actions = [self.greedy(i, batch.observations[i], batch.masks) for i in range(self.policy.team.n_agents)]
        return self.policy.critic.turns(batch.state, torch.cat(actions, dim=-1))

    @torch.no_grad()
    def greedy(self, i: int, observation: Tensor, masks: Tensor | None) -> Tensor:
        """Agent i's best action by its own values, as the critic sees it."""
        best = self.policy.distribution(i, observation, masks).mode()
        return encode_action(self.policy.team.agents[i].action, best)

    def improve(self, i: int, critic: Turns, batch: TeamBatch) -> None:
        """A step of agent i's values towards the critic's, at each of its own legal actions."""
        choices = self.choices[i]
        assert choices is not None
        taught = critic.value_of_each(self.policy.team.encoded_slices[i], choices)
        own = self.policy.distribution(i, batch.observations[i], batch.masks)
        errors = (own.values - taught).square()
        if own.legal is not None:
            errors = errors * own.legal
        loss = active_mean(errors.mean(-1), None if batch.active is None else batch.active[:, i])
        descend(self.policy.actor_optimizers[i], loss)
        self.metrics.add("actor_loss", loss)

    def redraw(self, i: int, critic: Turns, batch: TeamBatch) -> None:
        """Let the agents after i meet its new best action."""
        action = self.greedy(i, batch.observations[i], batch.masks)
        critic.replace(self.policy.team.encoded_slices[i], action)
