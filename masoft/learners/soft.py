"""The soft update: Algorithm 2 of the paper in pieces, with the operators of Algorithm 1 as parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from masoft.buffers.replay import TeamBatch
from masoft.distributions import Categoricals, Distribution
from masoft.fast.recording import is_recordable
from masoft.functional.actions import encode_action
from masoft.functional.soft import active_mean, expected_actor_losses, sampled_actor_losses
from masoft.learners.critics import fit_critics
from masoft.learners.metrics import Metrics
from masoft.learners.mirror_step import Look, mirror_step
from masoft.learners.multi_step import Backup, Judge, States, joint_log_prob
from masoft.mirror.change import PolicyChange
from masoft.mirror.discrete_gradient import DiscreteGradient
from masoft.mirror.drift import Drift
from masoft.mirror.improver import Improver
from masoft.mirror.neighborhood import Neighborhood
from masoft.mirror.q_target import QTarget
from masoft.mirror.soft_value import SoftValue
from masoft.mirror.target_entropy import Entropies, TargetEntropies
from masoft.networks.critic import Turns
from masoft.policies.reference import OldPolicy, ReferencePolicies
from masoft.policies.team_policy import TeamPolicy


@dataclass(frozen=True)
class Draw:
    """One agent's policy and action at a batch of states.

    Args:
        policy: its distribution.
        encoded: (batch, encoded_size), the action as the critic sees it.
        log_prob: (batch,), of the action; for categorical parts minus the exact entropy, which has the same mean.
    """

    policy: Distribution
    encoded: Tensor
    log_prob: Tensor


@dataclass(frozen=True)
class Opened:
    """A minibatch with the agents' fresh actions in the critic, which is open for their turns.

    Args:
        batch: the minibatch.
        draws: one an agent.
        critic: at the draws; knows the new actions of those who have had their turn.
        entropies: of the draws, for the temperatures.
    """

    batch: TeamBatch
    draws: tuple[Draw, ...]
    critic: Turns
    entropies: Entropies


@dataclass(frozen=True)
class SoftUpdate(Judge):
    """What one update does, piece by piece; numbers are as they hold during this update.

    Args:
        policy: whose networks learn.
        choices: every encoded action of agents that are enumerated, see `exact_choices`.
        discrete_gradient: how categorical agents follow the critic that are not.
        q_target: how several target critics become one.
        backup: the critic's target.
        soft_critic: whether it counts entropies, or what else it counts; with its schedules filled in.
        targets: the entropies that temperatures hold.
        reference: the old policies; None where neither drift nor neighborhood looks at them.
        drift, neighborhood: with their schedules filled in.
        improver: how the argmax of a mirror step is sought.
        ent_coefs: (n_agents + 1,), the agents' temperatures and the joint one.
        generator: source of all draws.
        metrics: where figures go.
        everybody: whether each update has all agents' turns.
    """

    policy: TeamPolicy
    choices: tuple[Tensor | None, ...]
    discrete_gradient: DiscreteGradient
    q_target: QTarget
    backup: Backup
    soft_critic: bool | SoftValue
    targets: TargetEntropies
    reference: ReferencePolicies | None
    drift: Drift
    neighborhood: Neighborhood
    improver: Improver
    ent_coefs: Tensor
    generator: torch.Generator
    metrics: Metrics
    everybody: bool = True

    def fit_and_open(self, batch: TeamBatch) -> Opened:
        """`fit_critics`, then `open`: what comes before the agents' turns."""
        self.fit_critics(batch)
        return self.open(batch)

    def fit_critics(self, batch: TeamBatch) -> None:
        """One step of all critics towards the soft Bellman target."""
        fit_critics(self.policy, batch, self.critic_target(batch), self.metrics)

    @torch.no_grad()
    def critic_target(self, batch: TeamBatch) -> Tensor:
        """Eq. 5 and 6 at the state where the return bootstraps, (batch,)."""
        return self.backup(batch, self)

    def fresh(self, at: States) -> tuple[Tensor, Tensor]:
        """A draw of every agent as the critic sees it, and what their entropies are worth."""
        encoded, shares = [], []
        for i, agent in enumerate(self.policy.team.agents):
            policy = self.policy.distribution(i, at.observations[i], at.masks)
            if isinstance(policy, Categoricals):
                action, entropy = encode_action(agent.action, policy.sample(self.generator)), policy.entropy()
            else:
                action, log_prob = policy.sample_with_log_prob(self.generator)
                entropy = -log_prob
            encoded.append(action)
            share = self._share(i, at, policy, action, entropy)
            shares.append(share if at.active is None else share * at.active[:, i])
        total = sum(shares[1:], shares[0])
        if isinstance(self.soft_critic, SoftValue):
            return torch.cat(encoded, dim=-1), total
        return torch.cat(encoded, dim=-1), self.ent_coefs[-1] * total if self.soft_critic else torch.zeros_like(total)

    def _share(self, i: int, at: States, policy: Distribution, action: Tensor, entropy: Tensor) -> Tensor:
        """What agent i's fresh action adds to the soft value, (rows,); its entropy where that is all that counts."""
        if not isinstance(self.soft_critic, SoftValue):
            return entropy
        old_log_prob = None
        if self.soft_critic.needs_old:
            assert self.reference is not None
            old = self.reference.of(i, at.observations[i], self.policy.own_mask(i, at.masks))
            is_choice = isinstance(policy, Categoricals)
            old_log_prob = -entropy - policy.kl(old) if is_choice else old.log_prob(action)
        return self.soft_critic(-entropy, old_log_prob, self.ent_coefs[-1])

    def judged(self, at: States, actions: Tensor) -> Tensor:
        """The target critics' values as one, (rows,)."""
        critic = self.policy.critic_target
        return self.q_target(critic.expected(critic(at.state, actions)), self.generator)

    def log_prob(self, at: States, actions: Tensor) -> Tensor:
        """Log-probability of joint actions, (rows,)."""
        return joint_log_prob(self.policy, at, actions)

    def open(self, batch: TeamBatch) -> Opened:
        """Draw the joint action and open the critic for turns."""
        draws = tuple(self.draw(i, batch) for i in range(self.policy.team.n_agents))
        critic = self.policy.critic.turns(batch.state, torch.cat([draw.encoded for draw in draws], dim=-1))
        entropies = self.targets.of_rows([d.log_prob.detach() for d in draws], batch.masks, batch.active)
        return Opened(batch, draws, critic, entropies)

    def draw(self, i: int, batch: TeamBatch) -> Draw:
        """Agent i's policy and a differentiable action at the batch's observations."""
        policy = self.policy.distribution(i, batch.observations[i], batch.masks)
        if not isinstance(policy, Categoricals):
            return Draw(policy, *policy.sample_with_log_prob(self.generator))
        if self.choices[i] is None:
            return Draw(policy, *self.discrete_gradient.draw(policy, self.generator))
        action = encode_action(self.policy.team.agents[i].action, policy.sample(self.generator))
        return Draw(policy, action, -policy.entropy())

    def improve(self, i: int, opened: Opened, updated: tuple[int, ...]) -> None:
        """The mirror step of agent i (Definition 2): Eq. 10 plus the drift, within the neighborhood.

        Args:
            i: the agent whose turn it is.
            opened: the minibatch.
            updated: those who have had their turn, in order.
        """
        batch, old = opened.batch, self._old_policy(i, opened.batch)
        price = None if self.reference is None else self.reference.price_of(i)
        # The first pass of an actor is still good, unless it shares its weights with an agent updated before.
        kept = [opened.draws[i]] if self._is_kept(batch, updated) else []

        def look() -> Look:
            now = kept.pop() if kept else self.draw(i, batch)
            losses, advantage = self.objective(i, now, opened)
            step = None if old is None else old.change_to(now.policy, advantage, updated)
            if step is not None and price is not None:
                losses = self.neighborhood.priced(losses, step, price)
            return Look(active_mean(losses, _of_agent(batch.active, i)), step)

        def change() -> PolicyChange:
            assert old is not None
            return old.change_to(self.policy.distribution(i, batch.observations[i], batch.masks), None, updated)

        name, optimizer = self.policy.team.names[i], self.policy.actor_optimizers[i]

        def penalised(penalty: Tensor) -> None:
            self.metrics.add(f"drift/{name}", penalty)

        result = mirror_step(look, change, self.improver, optimizer, self.drift, self.neighborhood, penalised)
        self.metrics.add("actor_loss", result.loss_before)
        if old is not None:
            with torch.no_grad():
                moved = change()
                self.metrics.add(f"kl/{name}", moved.mean(moved.kl_old_new()))
                if price is not None:
                    price.copy_(self.neighborhood.next_price(price, moved))
                    self.metrics.add(f"price/{name}", price)
            self.metrics.add(f"accepted/{name}", result.accepted_share)

    def objective(self, i: int, now: Draw, opened: Opened) -> tuple[Tensor, Tensor | None]:
        """Eq. 10 for agent i, (batch,), and its advantage over all own actions where these are enumerated."""
        where, choices, ent_coef = self.policy.team.encoded_slices[i], self.choices[i], self.ent_coefs[i]
        critic = opened.critic
        if choices is None:
            return sampled_actor_losses(critic.value(where, now.encoded), now.log_prob, ent_coef), None
        assert isinstance(now.policy, Categoricals)
        log_probs = now.policy.joint_log_probs()
        q_values = critic.value_of_each(where, choices)
        advantage = q_values - (log_probs.detach().exp() * q_values).sum(-1, keepdim=True)
        return expected_actor_losses(q_values, log_probs, ent_coef), advantage

    @torch.no_grad()
    def redraw(self, i: int, opened: Opened) -> None:
        """Let the agents after i meet an action of its new policy."""
        policy = self.policy.distribution(i, opened.batch.observations[i], opened.batch.masks)
        action = encode_action(self.policy.team.agents[i].action, policy.sample(self.generator))
        opened.critic.replace(self.policy.team.encoded_slices[i], action)

    def steepness(self, agents: Iterable[int], opened: Opened) -> list[float]:
        """Squared length of the slope of each agent's objective, which greedy orders compare."""
        slopes = []
        for i in agents:
            now = self.draw(i, opened.batch)
            losses, _ = self.objective(i, now, opened)
            objective = active_mean(losses, _of_agent(opened.batch.active, i))
            first = next(iter(now.policy.parameters.values()))
            gradient = torch.autograd.grad(objective, first)[0]
            slopes.append(float(gradient.square().sum()))
        return slopes

    def _is_kept(self, batch: TeamBatch, updated: tuple[int, ...]) -> bool:
        """Whether an agent's draw is still as its actor would make it."""
        # A recording may have been made when another agent was first, or when this one was not there.
        is_sure = self.everybody and (batch.active is None or not is_recordable())
        return is_sure and not (self.policy.share_parameters and (updated or is_recordable()))

    def _old_policy(self, i: int, batch: TeamBatch) -> OldPolicy | None:
        """Agent i's reference at the batch's observations."""
        if self.reference is None:
            return None
        mask, active = self.policy.own_mask(i, batch.masks), _of_agent(batch.active, i)
        return self.reference.old_of(i, batch.observations[i], mask, active, self.generator)


def _of_agent(active: Tensor | None, i: int) -> Tensor | None:
    return None if active is None else active[:, i]
