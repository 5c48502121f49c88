"""HAD3QN: dueling double Q-learning in which agents choose one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy

from masoft.algorithms.off_policy import OffPolicyTeamAlgorithm
from masoft.algorithms.team import LearningRate, Schedule
from masoft.errors import ConfigurationError, explain
from masoft.learners.choices import check_enumerable, exact_choices
from masoft.learners.dueling import DuelingUpdate
from masoft.mirror.discrete_gradient import Exact
from masoft.mirror.order import Order, RandomPermutation
from masoft.policies.dueling import DuelingPolicy
from masoft.policies.exploration import epsilon_at, noisy_actions
from masoft.spec import ACTION_MASK
from masoft.validation import Instance, Real


class HAD3QN(OffPolicyTeamAlgorithm):
    """Heterogeneous-Agent Dueling Double DQN: agents learn in turn what a joint critic thinks of each action.

    Agent i's dueling values ``q_i(o_i, .)`` are fitted to ``Q(s, a_new of those before, ., a_old of those after)`` at
    each of its own actions, and it acts by their maximum. The joint critic's target is double Q-learning:
    ``R + gamma^k min_j Q_j'(s', argmax q_1, ..., argmax q_n)``.

    Args:
        policy: ``"MlpPolicy"``, or a subclass of `DuelingPolicy`.
        env: as for `HASAC`; every agent is Discrete, MultiDiscrete or MultiBinary.
        order: in which order agents learn; a fresh random permutation by default.
        exploration_initial_eps, exploration_final_eps: share of uniform legal actions of each agent, in [0, 1].
        exploration_fraction: share of training over which the first falls to the second, linearly.
        learning_rate: step size or schedule; or ``dict(actor=, critic=)``.
        buffer_size, learning_starts, batch_size, tau, gamma, train_freq, gradient_steps, n_steps, team_reward: as for
            `HASAC`.
        policy_kwargs: arguments of `DuelingPolicy`.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import HAD3QN
        >>> model = HAD3QN("matrix/two_step", learning_starts=8, batch_size=8, seed=0).learn(total_timesteps=10)
        >>> model
        HAD3QN(env='matrix/two_step', learning_starts=8, batch_size=8, seed=0)

    Reference:
        Zhong et al., Heterogeneous-Agent Reinforcement Learning, 2024; Wang et al., Dueling Network Architectures for
        Deep Reinforcement Learning, 2016; van Hasselt et al., Deep Reinforcement Learning with Double Q-learning, 2016.
    """

    policy: DuelingPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = DuelingPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(DuelingPolicy.policy_names, DuelingPolicy)
    action_kinds = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    constraints = {
        **OffPolicyTeamAlgorithm.constraints,
        "order": (Instance((Order,), "an update order"),),
        "exploration_initial_eps": (Real(0, 1),),
        "exploration_final_eps": (Real(0, 1),),
        "exploration_fraction": (Real(0, 1),),
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "MlpPolicy",
        env: Any = None,
        *,
        order: Order = RandomPermutation(),
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        exploration_fraction: float = 0.2,
        learning_rate: LearningRate = 5e-4,
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
            must = "one that needs no expected improvements, since values are fitted here"
            raise ConfigurationError(explain("order", must, order, "Use RandomPermutation() or FixedOrder()."))
        self.order = order
        self.exploration_initial_eps = exploration_initial_eps
        self.exploration_final_eps = exploration_final_eps
        self.exploration_fraction = exploration_fraction
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

    def _check_team(self) -> None:
        super()._check_team()
        check_enumerable(self.team, type(self).__name__)

    def _setup_model(self) -> None:
        super()._setup_model()
        self._choices = exact_choices(self.team, Exact(), self.device)

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """The joint critic first, then one agent's values after the other, then the target critic."""
        self._prepare_training()
        update = self._begin_update()
        for _ in range(gradient_steps):
            batch = self.runner.begin(self.sample_batch(batch_size), (self.tau, self.learners))
            self.runner.run("critics", partial(update.fit_critics, batch))
            critic = self.runner.run("open", partial(update.open, batch))
            for i in self.turns_of_present(batch):
                self.runner.run(("improve", i), partial(update.improve, i, critic, batch))
                if self.order.sequential:
                    self.runner.run(("redraw", i), partial(update.redraw, i, critic, batch))
            self.runner.run("targets", self._update_targets)
            self._n_updates += 1
        self._finish_training()

    def _begin_update(self) -> DuelingUpdate:
        """The update with its parts as they are now."""
        return DuelingUpdate(self.policy, self._choices, self._metrics)

    @property
    def exploration_rate(self) -> float:
        """Probability that an agent acts uniformly, at the present progress."""
        ends = self.exploration_initial_eps, self.exploration_final_eps
        return epsilon_at(*ends, self.exploration_fraction, self._current_progress_remaining)

    def _explore(self, obs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Greedy actions; each agent acts uniformly now and then."""
        actions = self.policy.act(obs, deterministic=True)
        rate, masks = self.exploration_rate, obs.get(ACTION_MASK)
        return noisy_actions(self.team, actions, 0.0, rate, masks, self.cpu_generator, self.resting)

    def _finish_training(self) -> None:
        self.logger.record("rollout/exploration_rate", self.exploration_rate)
        super()._finish_training()
