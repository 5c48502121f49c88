"""The deterministic family: HADDPG, HATD3, MADDPG and MATD3 are one template with its parts chosen."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy

from masoft.algorithms.off_policy import OffPolicyTeamAlgorithm
from masoft.algorithms.team import LearningRate, Schedule
from masoft.errors import ConfigurationError, explain
from masoft.learners.choices import exact_choices
from masoft.learners.deterministic import DeterministicUpdate
from masoft.mirror.discrete_gradient import DISCRETE_GRADIENTS, DiscreteGradient
from masoft.mirror.exploration import Noise
from masoft.mirror.order import Order, RandomPermutation
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
        "exploration_noise": (Real(0), Instance((Noise,), "a Noise")),
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
        exploration_noise: float | Noise = 0.1,
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
        update = self._begin_update()
        for _ in range(gradient_steps):
            batch = self.runner.begin(self.sample_batch(batch_size), (self.tau, self.learners))
            self.runner.run("critics", partial(update.fit_critics, batch))
            self._n_updates += 1
            if self._n_updates % self.policy_delay == 0:
                critic = self.runner.run("open", partial(update.open, batch))
                for i in self.turns_of_present(batch):
                    self.runner.run(("improve", i), partial(update.improve, i, critic, batch))
                    if self.order.sequential:
                        self.runner.run(("redraw", i), partial(update.redraw, i, critic, batch))
                self.runner.run("targets", partial(update.follow, self.tau))
        self._finish_training()

    def _begin_update(self) -> DeterministicUpdate:
        """The update with its numbers as they are now."""
        return DeterministicUpdate(
            policy=self.policy,
            choices=self._choices,
            discrete_gradient=self._gradient,
            noise=self.target_policy_noise,
            noise_clip=self.target_noise_clip,
            generator=self.generator,
            metrics=self._metrics,
        )

    def _explore(self, obs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The actors' actions with Gaussian noise; draws from the softmax, now and then uniform, where categorical."""
        actions = self.play(obs, deterministic=False)
        noise, epsilon = self.exploration_noise, self.exploration_epsilon
        if isinstance(noise, Noise):
            noise = noise.at(self.progress_remaining)
        masks = obs.get(ACTION_MASK)
        return noisy_actions(self.team, actions, noise, epsilon, masks, self.cpu_generator, self.resting)
