"""The off-policy maximum entropy template: Algorithm 2 of the paper with the operators of Algorithm 1 as parts."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from masoft.algorithms.off_policy import OffPolicyTeamAlgorithm
from masoft.algorithms.team import LearningRate, Schedule
from masoft.algorithms.tempered import LearnedTemperature
from masoft.buffers.replay import TeamBatch
from masoft.distributions import Categoricals, Distribution
from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import encode_action
from masoft.functional.soft import expected_actor_loss, sampled_actor_loss, soft_target
from masoft.learners.choices import exact_choices
from masoft.mirror.change import PolicyChange
from masoft.mirror.discrete_gradient import DISCRETE_GRADIENTS, DiscreteGradient
from masoft.mirror.drift import Drift, NoDrift
from masoft.mirror.improver import GradientSteps
from masoft.mirror.neighborhood import Everywhere, Neighborhood
from masoft.mirror.order import Order, RandomPermutation
from masoft.mirror.q_target import Q_TARGETS, QTarget
from masoft.mirror.reference import PACES, Pace
from masoft.networks.critic import Turns
from masoft.policies.reference import OldPolicy, ReferencePolicies
from masoft.saving.parts import StatePart
from masoft.validation import Instance, Integer


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


class SoftActorCritic(LearnedTemperature, OffPolicyTeamAlgorithm, ABC):
    """Abstract: HASAC, MASAC and MEHAML are this with their parts chosen. Its arguments are described there."""

    learning_rate_parts: ClassVar[tuple[str, ...]] = ("actor", "critic", "ent_coef")
    followers = {
        **OffPolicyTeamAlgorithm.followers,
        **LearnedTemperature.followers,
        "drift": "_build_parts",
        "neighborhood": "_build_parts",
        "discrete_gradient": "_build_parts",
        "q_target": "_build_parts",
        "mini_epochs": "_build_parts",
        "reference": "_follow_reference",
    }
    constraints = {
        **OffPolicyTeamAlgorithm.constraints,
        **LearnedTemperature.constraints,
        "discrete_gradient": (DISCRETE_GRADIENTS,),
        "order": (Instance((Order,), "an update order"),),
        "drift": (Instance((Drift,), "a Drift"),),
        "neighborhood": (Instance((Neighborhood,), "a Neighborhood"),),
        "mini_epochs": (Integer(1),),
        "q_target": (Q_TARGETS,),
        "reference": (PACES,),
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "MlpPolicy",
        env: Any = None,
        *,
        drift: Drift = NoDrift(),
        neighborhood: Neighborhood = Everywhere(),
        order: Order = RandomPermutation(),
        ent_coef: float | str = "auto",
        target_entropy: float | str | Mapping[str, float] = "auto",
        discrete_gradient: DiscreteGradient | str = "auto",
        mini_epochs: int = 1,
        q_target: QTarget | str = "min",
        reference: Pace | str = "every_10",
        learning_rate: LearningRate = 1e-3,
        buffer_size: int = 1_000_000,
        learning_starts: int = 1_000,
        batch_size: int = 256,
        tau: float = 0.005,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = -1,
        n_steps: int | Schedule = 5,
        team_reward: str = "auto",
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        device: torch.device | str = "auto",
        seed: int | None = None,
    ) -> None:
        self.drift = drift
        self.neighborhood = neighborhood
        self.order = order
        self.ent_coef = ent_coef
        self.target_entropy = target_entropy
        self.discrete_gradient = discrete_gradient
        self.mini_epochs = mini_epochs
        self.q_target = q_target
        self.reference = reference
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            n_steps=n_steps,
            team_reward=team_reward,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            seed=seed,
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        self._build_temperature()
        self._reference: ReferencePolicies | None = None
        self._build_parts()

    def _build_parts(self) -> None:
        """What drift, neighborhood, gradient, target and mini-epochs need; a reference that is kept already stays."""
        self._improver = GradientSteps(self.mini_epochs)
        self._gradient: DiscreteGradient = DISCRETE_GRADIENTS.read(self.discrete_gradient, "discrete_gradient")
        self._choices = exact_choices(self.team, self._gradient, self.device)
        self._one_q: QTarget = Q_TARGETS.read(self.q_target, "q_target")
        self._one_q.check(self.policy.critic.n_critics)
        self._check_drift_can_run()
        is_free = isinstance(self.drift, NoDrift) and isinstance(self.neighborhood, Everywhere)
        if is_free:
            self._reference = None
        elif self._reference is None:
            self._build_reference()

    def _build_reference(self) -> None:
        """The policies of now as the old ones."""
        self._reference = ReferencePolicies(self.policy, PACES.read(self.reference, "reference"))

    def _follow_reference(self) -> None:
        if self._reference is not None:
            self._build_reference()

    def renew(self, parts: Iterable[str]) -> None:
        if "reference" in parts:
            self._follow_reference()

    def state_parts(self) -> dict[str, StatePart]:
        """The networks, their optimisers, the temperatures and, where one is kept, the reference policies."""
        parts = super().state_parts()
        if self._reference is not None:
            parts["reference"] = self._reference
        return parts

    def _check_drift_can_run(self) -> None:
        sampled = [
            agent.name for agent, choices in zip(self.team.agents, self._choices, strict=True) if choices is None
        ]
        if "advantage" in self.drift.needs and sampled:
            must = "one that needs no advantage, since the actions of these agents are not enumerated"
            cure = f"Agents: {sampled}. Use KLDrift or SquaredRatioDrift, or the on-policy template HAML."
            raise ConfigurationError(explain("drift", must, self.drift, cure))

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Algorithm 2: critics, then one agent after the other, then temperatures and targets."""
        self._prepare_training()
        for _ in range(gradient_steps):
            self._begin_update()
            batch = self.sample_batch(batch_size)
            self._fit_critics(batch, self._critic_target(batch))
            draws = [self._draw_action(i, batch) for i in range(self.team.n_agents)]
            critic = self.policy.critic.turns(batch.state, torch.cat([draw.encoded for draw in draws], dim=-1))
            entropies = self._targets.of_rows([d.log_prob.detach() for d in draws], batch.masks, batch.active)
            updated: tuple[int, ...] = ()
            for i in self.turns_of_present(batch, self._walk(critic, draws, batch)):
                self._improve(i, draws[i], critic, batch, updated)
                updated = (*updated, i)
                if self.order.sequential and len(updated) < len(self.learners):
                    critic.replace(self.team.encoded_slices[i], self._redraw(i, batch))
            self._fit_temperatures(entropies)
            self._update_targets()
            self._n_updates += 1
        self._finish_training()

    @torch.no_grad()
    def _critic_target(self, batch: TeamBatch) -> Tensor:
        """Eq. 5 and 6 at the state where the return bootstraps, (batch,)."""
        encoded, bonus = [], torch.zeros_like(batch.rewards)
        for i, agent in enumerate(self.team.agents):
            policy = self.policy.distribution(i, batch.next_observations[i], batch.next_masks)
            if isinstance(policy, Categoricals):
                action, entropy = encode_action(agent.action, policy.sample(self.generator)), policy.entropy()
            else:
                action, log_prob = policy.sample_with_log_prob(self.generator)
                entropy = -log_prob
            encoded.append(action)
            bonus += entropy if batch.next_active is None else entropy * batch.next_active[:, i]
        critic = self.policy.critic_target
        next_values = critic.expected(critic(batch.next_state, torch.cat(encoded, dim=-1)))
        next_q = self._one_q(next_values, self.generator)
        joint_ent_coef = self._ent_coefs[-1]
        return soft_target(batch.rewards, batch.discounts, batch.terminated, next_q, joint_ent_coef * bonus)

    def _draw_action(self, i: int, batch: TeamBatch) -> Draw:
        """Agent i's policy and a differentiable action at the batch's observations."""
        policy = self.policy.distribution(i, batch.observations[i], batch.masks)
        if not isinstance(policy, Categoricals):
            return Draw(policy, *policy.sample_with_log_prob(self.generator))
        if self._choices[i] is None:
            return Draw(policy, *self._gradient.draw(policy, self.generator))
        action = encode_action(self.team.agents[i].action, policy.sample(self.generator))
        return Draw(policy, action, -policy.entropy())

    @torch.no_grad()
    def _redraw(self, i: int, batch: TeamBatch) -> Tensor:
        """Agent i's encoded action from its new policy, for the agents after it."""
        policy = self.policy.distribution(i, batch.observations[i], batch.masks)
        return encode_action(self.team.agents[i].action, policy.sample(self.generator))

    def _improve(self, i: int, draw: Draw, critic: Turns, batch: TeamBatch, updated: tuple[int, ...]) -> None:
        """The mirror step of agent i (Definition 2): Eq. 10 plus the drift, within the neighborhood."""
        drift = self.drift.at(self.progress_remaining)
        neighborhood = self.neighborhood.at(self.progress_remaining)
        # The first pass of an actor is still good, unless it shares its weights with an agent updated before.
        kept = [] if updated and self.policy.share_parameters else [draw]
        old = self._old_policy(i, batch)

        def loss() -> Tensor:
            now = kept.pop() if kept else self._draw_action(i, batch)
            objective, advantage = self._objective(i, now, critic, batch)
            if old is None:
                return objective
            change = old.change_to(now.policy, advantage, updated)
            penalty = change.mean(drift(change))
            self._metrics.add(f"drift/{self.team.names[i]}", penalty)
            return objective + penalty

        def change() -> PolicyChange:
            assert old is not None
            return old.change_to(self.policy.distribution(i, batch.observations[i], batch.masks), None, updated)

        optimizer = self.policy.actor_optimizers[i]
        parameters = optimizer.param_groups[0]["params"]
        result = self._improver.improve(parameters, loss, change, neighborhood, optimizer)
        self._metrics.add("actor_loss", result.loss_before)
        if old is not None:
            with torch.no_grad():
                moved = change()
                self._metrics.add(f"kl/{self.team.names[i]}", moved.mean(moved.kl_old_new()))
            self._metrics.add(f"accepted/{self.team.names[i]}", torch.tensor(result.accepted_share))

    def _objective(self, i: int, now: Draw, critic: Turns, batch: TeamBatch) -> tuple[Tensor, Tensor | None]:
        """Eq. 10 for agent i, and its advantage over all own actions where these are enumerated."""
        where, choices, ent_coef = self.team.encoded_slices[i], self._choices[i], self._ent_coefs[i]
        active = None if batch.active is None else batch.active[:, i]
        if choices is None:
            return sampled_actor_loss(critic.value(where, now.encoded), now.log_prob, ent_coef, active), None
        assert isinstance(now.policy, Categoricals)
        log_probs = now.policy.joint_log_probs()
        q_values = critic.value_of_each(where, choices)
        advantage = q_values - (log_probs.detach().exp() * q_values).sum(-1, keepdim=True)
        return expected_actor_loss(q_values, log_probs, ent_coef, active), advantage

    def _walk(self, critic: Turns, draws: list[Draw], batch: TeamBatch) -> Any:
        """The agents in update order; a greedy order asks for the steepest objective among those that remain."""

        def improvements(agents: tuple[int, ...]) -> list[float]:
            slopes = []
            for i in agents:
                now = self._draw_action(i, batch)
                objective, _ = self._objective(i, now, critic, batch)
                first = next(iter(now.policy.parameters.values()))
                gradient = torch.autograd.grad(objective, first)[0]
                slopes.append(float(gradient.square().sum()))
            return slopes

        return self.turns(improvements)

    def _old_policy(self, i: int, batch: TeamBatch) -> OldPolicy | None:
        """Agent i's reference at the batch's observations; None where neither drift nor neighborhood looks at it."""
        if self._reference is None:
            return None
        mask = None if batch.masks is None else batch.masks[:, self.team.mask_slices[i]]
        active = None if batch.active is None else batch.active[:, i]
        return self._reference.old_of(i, batch.observations[i], mask, active, self.generator)

    def _begin_update(self) -> None:
        self._ent_coefs = self.temperature.current()
        if self._reference is not None:
            self._reference.follow()
