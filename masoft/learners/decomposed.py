"""The decomposed update of VDN and QMIX: double Q-learning of a mixture of utilities, in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.buffers.replay import TeamBatch
from masoft.functional.soft import active_mean
from masoft.learners.metrics import Metrics
from masoft.learners.multi_step import Backup, Judge, States
from masoft.learners.presence import step_by_presence
from masoft.networks.targets import follow
from masoft.policies.value import ValueTeamPolicy


@dataclass(frozen=True)
class DecomposedUpdate(Judge):
    """What one update does, piece by piece.

    Args:
        policy: whose networks learn.
        backup: the target of the joint value.
        max_grad_norm: longer gradients are scaled down to it; None leaves them.
        metrics: where figures go.
    """

    policy: ValueTeamPolicy
    backup: Backup
    max_grad_norm: float | None
    metrics: Metrics

    def learn(self, batch: TeamBatch, n: int, presence: Sequence[float], valid: Tensor | None) -> None:
        """`fit` on `value_and_target`."""
        self.fit(*self.value_and_target(batch, n), presence, valid)

    def value_and_target(self, batch: TeamBatch, n: int) -> tuple[Tensor, Tensor]:
        """``Q_tot`` of the actions taken, and ``R + gamma^k Q_tot'`` of those that the utilities choose next."""
        chosen, best = [], []
        for i, where in enumerate(self.policy.team.action_slices):
            now, following = self.policy.now_and_next(i, batch, n)
            chosen.append(now.value_of(batch.actions[:, where]))
            with torch.no_grad():
                _, valued = self.policy.now_and_next(i, batch, n, of_target=True)
                best.append(valued.value_of(following.mode()))
        value = self.policy.mixer(_of_present(chosen, batch.active), batch.state)
        with torch.no_grad():
            next_value = self.policy.mixer_target(_of_present(best, batch.next_active), batch.next_state)
            return value, self.backup.of(batch, next_value, torch.zeros_like(next_value), self)

    def fresh(self, at: States) -> tuple[Tensor, Tensor]:
        """What the utilities choose, (rows, n_agents); there is no entropy."""
        agents = range(self.policy.team.n_agents)
        chosen = [self.policy.distribution(i, at.observations[i], at.masks).mode().float() for i in agents]
        actions = torch.cat(chosen, dim=-1)
        return actions, torch.zeros(len(actions), device=actions.device)

    def as_judged(self, actions: Tensor) -> Tensor:
        """Stored joint actions, as they are."""
        return actions

    def judged(self, at: States, actions: Tensor) -> Tensor:
        """``Q_tot`` of the target networks, (rows,)."""
        taken = []
        for i, where in enumerate(self.policy.team.action_slices):
            values = self.policy.actors_target[i](at.observations[i], self.policy.own_mask(i, at.masks))
            taken.append(values.value_of(actions[:, where]))
        value: Tensor = self.policy.mixer_target(_of_present(taken, at.active), at.state)
        return value

    def fit(self, value: Tensor, target: Tensor, presence: Sequence[float], valid: Tensor | None = None) -> None:
        """One step on the mean squared error over the valid rows."""
        loss = active_mean((value - target).square(), valid)
        if loss.requires_grad:
            self.policy.critic_optimizer.zero_grad()
            loss.backward()
            if self.max_grad_norm is not None:
                parameters = self.policy.critic_optimizer.param_groups[0]["params"]
                self.metrics.add("grad_norm", torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
            step_by_presence(self.policy.critic_optimizer, [*self.policy.actors], presence)
        self.metrics.add("critic_loss", loss)
        self.metrics.add("q_value", active_mean(value, valid))

    def follow(self, tau: float) -> None:
        """Polyak averaging of the target networks by the share ``tau``; a copy where it is 1."""
        follow(self.policy.actors_target, self.policy.actors, tau)
        follow(self.policy.mixer_target, self.policy.mixer, tau)


def _of_present(utilities: list[Tensor], active: Tensor | None) -> Tensor:
    """Utilities side by side, (batch, n_agents), 0 for agents that have left."""
    joint = torch.stack(utilities, dim=-1)
    return joint if active is None else joint * active
