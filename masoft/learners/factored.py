"""The factored update of FOP: utilities and mixers are the critic, every actor follows its own utility; in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from masoft.buffers.replay import TeamBatch
from masoft.distributions import Categoricals, Distribution
from masoft.functional.action_values import ActionValues
from masoft.functional.actions import encode_joint_action
from masoft.functional.soft import expected_actor_loss, sampled_actor_loss
from masoft.learners.descent import descend
from masoft.learners.metrics import Metrics
from masoft.learners.multi_step import Backup, Judge, States, joint_log_prob
from masoft.learners.presence import step_by_presence
from masoft.networks.targets import follow
from masoft.networks.utilities import BoxUtility, ChoiceUtility
from masoft.policies.factored import FactoredPolicy

VALUE_SAMPLES = 4
"""Draws from a Box agent's policy for its soft value."""


@dataclass(frozen=True)
class FactoredUpdate(Judge):
    """What one update does, piece by piece; numbers are as they hold during this update.

    Args:
        policy: whose networks learn.
        backup: the critic's target.
        ent_coefs: (n_agents + 1,), the agents' temperatures and the joint one.
        generator: source of all draws.
        metrics: where figures go.
    """

    policy: FactoredPolicy
    backup: Backup
    ent_coefs: Tensor
    generator: torch.Generator
    metrics: Metrics

    def fit_critics(self, batch: TeamBatch, presence: Sequence[float]) -> None:
        """One step of all utilities and mixers on the mean squared soft Bellman residual.

        Args:
            batch: the minibatch.
            presence: share of the rows in which each agent is there.
        """
        target = self.critic_target(batch)
        values = self.joint_values(batch.state, batch.observations, batch.masks, batch.active, batch.actions)
        loss = (values - target).square().mean(dim=1).sum()
        if loss.requires_grad:
            self.policy.critic_optimizer.zero_grad()
            loss.backward()
            step_by_presence(self.policy.critic_optimizer, [*self.policy.utilities], presence)
        self.metrics.add("critic_loss", loss)
        self.metrics.add("q_value", values.mean())

    @torch.no_grad()
    def critic_target(self, batch: TeamBatch) -> Tensor:
        """``R + gamma^k (min_j Q_j'(s', a') - alpha sum_i log pi_i(a'_i | o'_i))`` at fresh actions, (batch,)."""
        return self.backup(batch, self)

    def fresh(self, at: States) -> tuple[Tensor, Tensor]:
        """A draw of every agent (rows, action_size), and the joint temperature times their entropies."""
        actions, entropies = [], []
        for i in range(self.policy.team.n_agents):
            action, entropy = self.draw(self.policy.distribution(i, at.observations[i], at.masks))
            actions.append(action.float())
            entropies.append(entropy if at.active is None else entropy * at.active[:, i])
        return torch.cat(actions, dim=-1), self.ent_coefs[-1] * sum(entropies[1:], entropies[0])

    def as_judged(self, actions: Tensor) -> Tensor:
        """Stored joint actions, as they are."""
        return actions

    def judged(self, at: States, actions: Tensor) -> Tensor:
        """The smallest of the target values, (rows,)."""
        return self.joint_values(at.state, at.observations, at.masks, at.active, actions, of_target=True).amin(dim=0)

    def log_prob(self, at: States, actions: Tensor) -> Tensor:
        """Log-probability of joint actions, (rows,)."""
        return joint_log_prob(self.policy, at, actions)

    def draw(self, policy: Distribution) -> tuple[Tensor, Tensor]:
        """An action (batch, size) and the entropy at each state: exact, or minus the draw's log-density for a Box."""
        if isinstance(policy, Categoricals):
            return policy.sample(self.generator), policy.entropy()
        action, log_prob = policy.sample_with_log_prob(self.generator)
        return action, -log_prob

    def joint_values(
        self,
        state: Tensor,
        observations: tuple[Tensor, ...],
        masks: Tensor | None,
        active: Tensor | None,
        actions: Tensor,
        of_target: bool = False,
    ) -> Tensor:
        """Joint soft values of given actions (batch, action_size), (n_critics, batch)."""
        utilities = self.policy.utilities_target if of_target else self.policy.utilities
        mixers = self.policy.mixers_target if of_target else self.policy.mixers
        pairs = [
            self.own_values(i, utilities[i], observation, masks, actions[:, where])
            for i, (observation, where) in enumerate(zip(observations, self.policy.team.action_slices, strict=True))
        ]
        taken, soft = (torch.stack([pair[k] for pair in pairs], dim=-1) for k in (0, 1))
        if active is not None:
            taken, soft = taken * active, soft * active
        encoded, ratio = encode_joint_action(self.policy.team, actions), self.ent_coefs[-1] / self.ent_coefs[:-1]
        values = []
        for j, mixer in enumerate(mixers):
            weights = mixer.weights(state, encoded) * ratio  # type: ignore[operator]
            values.append(mixer(taken[j], soft[j], weights, state))
            if not of_target:
                self.metrics.add("weight", weights.mean())
        return torch.stack(values)

    def own_values(
        self, i: int, utility: nn.Module, observation: Tensor, masks: Tensor | None, action: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``Q_i`` of the action and ``V_i = alpha_i log sum_a exp(Q_i / alpha_i)``, (n_critics, batch) each.

        A Box agent's ``V_i`` is the mean of ``Q_i - alpha_i log pi_i`` over draws from its policy.
        """
        ent_coef = self.ent_coefs[i]
        if isinstance(utility, ChoiceUtility):
            mask = None if masks is None else masks[:, self.policy.team.mask_slices[i]]
            tables = [ActionValues(each, self.policy.team.agents[i].action.nvec, mask) for each in utility(observation)]
            taken = torch.stack([table.value_of(action) for table in tables])
            legal = torch.stack([table.legal_values for table in tables])
            return taken, ent_coef * torch.logsumexp(legal / ent_coef, dim=-1)
        assert isinstance(utility, BoxUtility)
        with torch.no_grad():
            policy, soft = self.policy.distribution(i, observation), []
            for _ in range(VALUE_SAMPLES):
                draw, entropy = self.draw(policy)
                soft.append(utility(observation, draw) + ent_coef * entropy)
        return utility(observation, action), torch.stack(soft).mean(0)

    def improve(self, i: int, batch: TeamBatch, learns: bool) -> Tensor:
        """A step of agent i on ``alpha_i log pi_i - Q_i``, if it learns; returns its log-probabilities, (batch,).

        Args:
            i: the agent.
            batch: the minibatch.
            learns: whether it takes a step.
        """
        observation, ent_coef, utility = batch.observations[i], self.ent_coefs[i], self.policy.utilities[i]
        active = None if batch.active is None else batch.active[:, i]
        now = self.policy.distribution(i, observation, batch.masks)
        if isinstance(now, Categoricals):
            with torch.no_grad():
                q_values = utility(observation).amin(dim=0)
            loss, log_prob = expected_actor_loss(q_values, now.joint_log_probs(), ent_coef, active), -now.entropy()
        else:
            assert isinstance(utility, BoxUtility)
            action, log_prob = now.sample_with_log_prob(self.generator)
            critic = utility.turns(observation, action)
            loss = sampled_actor_loss(critic.value(slice(0, action.shape[-1]), action), log_prob, ent_coef, active)
        optimizer = self.policy.actor_optimizers[i]
        if learns:
            descend(optimizer, loss)
            self.metrics.add("actor_loss", loss)
        return log_prob.detach()

    def follow(self, tau: float) -> None:
        """Polyak averaging of the target utilities and mixers, by the share ``tau``."""
        follow(self.policy.utilities_target, self.policy.utilities, tau)
        follow(self.policy.mixers_target, self.policy.mixers, tau)
