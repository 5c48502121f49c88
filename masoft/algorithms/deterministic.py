"""The deterministic family: HADDPG, HATD3, MADDPG and MATD3 are one template with its parts chosen."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from masoft.algorithms.off_policy import OffPolicyTeamAlgorithm
from masoft.algorithms.team import LearningRate, Schedule
from masoft.buffers.replay import TeamBatch
from masoft.distributions import Categoricals
from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import encode_action
from masoft.functional.soft import active_mean, soft_target
from masoft.learners.choices import exact_choices
from masoft.mirror.discrete_gradient import DISCRETE_GRADIENTS, DiscreteGradient
from masoft.mirror.order import Order, RandomPermutation
from masoft.networks.critic import Turns
from masoft.networks.targets import follow
from masoft.policies.deterministic import DeterministicPolicy
from masoft.policies.exploration import noisy_actions
from masoft.spec import ACTION_MASK
from masoft.validation import Instance, Integer, Real


class DeterministicPolicyGradient(OffPolicyTeamAlgorithm, ABC):
    """Abstract: agents follow the slope of a joint critic, one after the other or all at once.

    Its arguments are described at `HATD3`.
    """

    policy: DeterministicPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = DeterministicPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(
        DeterministicPolicy.policy_names, DeterministicPolicy
    )
    followers = {**OffPolicyTeamAlgorithm.followers, "discrete_gradient": "_choose_gradient"}
    constraints = {
        **OffPolicyTeamAlgorithm.constraints,
        "order": (Instance((Order,), "an update order"),),
        "exploration_noise": (Real(0),),
        "exploration_epsilon": (Real(0, 1),),
        "policy_delay": (Integer(1),),
        "target_policy_noise": (Real(0),),
        "target_noise_clip": (Real(0),),
        "discrete_gradient": (DISCRETE_GRADIENTS,),
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "MlpPolicy",
        env: Any = None,
        *,
        order: Order = RandomPermutation(),
        exploration_noise: float = 0.1,
        exploration_epsilon: float = 0.1,
        policy_delay: int = 2,
        target_policy_noise: float = 0.2,
        target_noise_clip: float = 0.5,
        n_critics: int = 2,
        discrete_gradient: DiscreteGradient | str = "auto",
        learning_rate: LearningRate = 3e-4,
        buffer_size: int = 1_000_000,
        learning_starts: int = 1_000,
        batch_size: int = 256,
        tau: float = 0.005,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = -1,
        n_steps: int | Schedule = 1,
        team_reward: str = "auto",
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        device: torch.device | str = "auto",
        seed: int | None = None,
    ) -> None:
        if order.needs_improvements:
            must = "one that needs no expected improvements, since these are entropy-free greedy steps"
            raise ConfigurationError(explain("order", must, order, "Use RandomPermutation() or FixedOrder()."))
        self.order = order
        self.exploration_noise = exploration_noise
        self.exploration_epsilon = exploration_epsilon
        self.policy_delay = policy_delay
        self.target_policy_noise = target_policy_noise
        self.target_noise_clip = target_noise_clip
        self.discrete_gradient = discrete_gradient
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
            policy_kwargs={"n_critics": n_critics, **(policy_kwargs or {})},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            seed=seed,
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        self._choose_gradient()

    def _choose_gradient(self) -> None:
        self._gradient: DiscreteGradient = DISCRETE_GRADIENTS.read(self.discrete_gradient, "discrete_gradient")
        self._choices = exact_choices(self.team, self._gradient, self.device)

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Critics at each step; at every ``policy_delay``-th one agent after the other, then the targets."""
        self._prepare_training()
        for _ in range(gradient_steps):
            batch = self.sample_batch(batch_size)
            self._fit_critics(batch, self._critic_target(batch))
            self._n_updates += 1
            if self._n_updates % self.policy_delay == 0:
                actions = [self._current_action(i, batch) for i in range(self.team.n_agents)]
                critic = self.policy.critic.turns(batch.state, torch.cat(actions, dim=-1))
                for i in self.turns_of_present(batch):
                    self._improve(i, critic, batch)
                    if self.order.sequential:
                        critic.replace(self.team.encoded_slices[i], self._current_action(i, batch))
                self._update_targets()
        self._finish_training()

    @torch.no_grad()
    def _critic_target(self, batch: TeamBatch) -> Tensor:
        """``y = R + gamma^k (1 - terminated) min_j Q_j(s', mu'(s') + clipped noise)``, (batch,)."""
        encoded = []
        for i, agent in enumerate(self.team.agents):
            action = self.policy.target_distribution(i, batch.next_observations[i], batch.next_masks).mode()
            if agent.action.is_box and self.target_policy_noise > 0:
                noise = torch.randn(action.shape, generator=self.generator, device=self.device)
                limit = self.target_noise_clip
                action = (action + (noise * self.target_policy_noise).clamp(-limit, limit)).clamp(-1, 1)
            encoded.append(encode_action(agent.action, action))
        critic = self.policy.critic_target
        next_q = critic.judged(critic.expected(critic(batch.next_state, torch.cat(encoded, dim=-1))))
        return soft_target(batch.rewards, batch.discounts, batch.terminated, next_q, torch.zeros_like(next_q))

    @torch.no_grad()
    def _current_action(self, i: int, batch: TeamBatch) -> Tensor:
        """What agent i's actor does at the batch's observations, as the critic sees it."""
        action = self.policy.distribution(i, batch.observations[i], batch.masks).mode()
        return encode_action(self.team.agents[i].action, action)

    def _improve(self, i: int, critic: Turns, batch: TeamBatch) -> None:
        """A gradient step of agent i on ``-Q``, the others playing their current actions."""
        now = self.policy.distribution(i, batch.observations[i], batch.masks)
        where, choices = self.team.encoded_slices[i], self._choices[i]
        if not isinstance(now, Categoricals):
            q_values = critic.value(where, now.action)
        elif choices is None:
            q_values = critic.value(where, self._gradient.draw(now, self.generator)[0])
        else:
            q_values = (now.joint_log_probs().exp() * critic.value_of_each(where, choices)).sum(-1)
        loss = active_mean(-q_values, None if batch.active is None else batch.active[:, i])
        optimizer = self.policy.actor_optimizers[i]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        self._metrics.add("actor_loss", loss)

    def _update_targets(self) -> None:
        """Polyak averaging of the target critic and the target actors."""
        super()._update_targets()
        follow(self.policy.actors_target, self.policy.actors, self.tau)

    def _explore(self, obs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The actors' actions with Gaussian noise; draws from the softmax, now and then uniform, where categorical."""
        actions = self.play(obs, deterministic=False)
        noise, epsilon = self.exploration_noise, self.exploration_epsilon
        masks = obs.get(ACTION_MASK)
        return noisy_actions(self.team, actions, noise, epsilon, masks, self.cpu_generator, self.resting)
