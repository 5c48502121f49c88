"""VDN and QMIX: a joint value made of the agents' own, so that each can choose for itself."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from masoft.algorithms.normalise import VecNormalizer
from masoft.algorithms.off_policy import OffPolicyTeamAlgorithm
from masoft.algorithms.team import LearningRate, Schedule
from masoft.buffers.episodes import EpisodeSampler
from masoft.buffers.replay import TeamBatch
from masoft.errors import ConfigurationError, explain
from masoft.learners.choices import check_enumerable
from masoft.learners.decomposed import DecomposedUpdate
from masoft.learners.presence import shares_of
from masoft.policies.exploration import epsilon_at, noisy_actions
from masoft.policies.value import ValueTeamPolicy
from masoft.spec import ACTION_MASK
from masoft.validation import Integer, Nothing, Real, ScheduleOf

CATEGORICAL = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class ValueDecomposition(OffPolicyTeamAlgorithm, ABC):
    """Abstract: double Q-learning of a mixture of utilities. Its arguments are described at `QMIX`."""

    policy: ValueTeamPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = ValueTeamPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(ValueTeamPolicy.policy_names, ValueTeamPolicy)
    action_kinds = CATEGORICAL
    learning_rate_parts: ClassVar[tuple[str, ...]] = ("critic",)
    constraints = {
        **OffPolicyTeamAlgorithm.constraints,
        "learning_rate": (Real(0, open_low=True), ScheduleOf(Real(0))),
        "exploration_initial_eps": (Real(0, 1),),
        "exploration_final_eps": (Real(0, 1),),
        "exploration_fraction": (Real(0, 1),),
        "target_update_interval": (Integer(1),),
        "max_grad_norm": (Real(0, open_low=True), Nothing()),
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "MlpPolicy",
        env: Any = None,
        *,
        mixer: str = "sum",
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        exploration_fraction: float = 0.2,
        target_update_interval: int = 1,
        max_grad_norm: float | None = 10.0,
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
        self.exploration_initial_eps = exploration_initial_eps
        self.exploration_final_eps = exploration_final_eps
        self.exploration_fraction = exploration_fraction
        self.target_update_interval = target_update_interval
        self.max_grad_norm = max_grad_norm
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
            policy_kwargs={"mixer": mixer, **(policy_kwargs or {})},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            seed=seed,
        )

    def _check_team(self) -> None:
        super()._check_team()
        check_enumerable(self.team, type(self).__name__)

    def _check_teammates(self) -> None:
        cure = "Freeze the agent with a network of its own, or use HASAC, HATD3, HAD3QN or HAPPO."
        must = f"its own network in {type(self).__name__}, which makes the team's value of the agents' own"
        raise ConfigurationError(explain("Who plays a frozen agent's part", must, "a teammate", cure))

    def _build_buffer(self) -> None:
        super()._build_buffer()
        if self.policy.remembers and callable(self.n_steps):
            must = "1 where agents have a memory, not a schedule"
            raise ConfigurationError(explain("n_steps", must, self.n_steps))
        self._episodes = EpisodeSampler(self.replay_buffer) if self.policy.remembers else None

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Fit the mixture of chosen utilities to its one-step target, then move the targets."""
        self._prepare_training()
        if self._episodes is not None and self._episodes.n_episodes() == 0:
            return
        update = self._begin_update()
        for _ in range(gradient_steps):
            drawn, n, valid = self._draw(batch_size)
            presence = tuple(shares_of(drawn.active, self.team.n_agents))
            batch, valid = self.runner.begin((drawn, valid), (n, presence, self.tau, self.learners))
            self.runner.run("values", partial(update.learn, batch, n, presence, valid))
            self._n_updates += 1
            if self._n_updates % self.target_update_interval == 0:
                self.runner.run("targets", partial(update.follow, self.tau))
        self._finish_training()

    def _begin_update(self) -> DecomposedUpdate:
        """The update with its numbers as they are now."""
        return DecomposedUpdate(self.policy, self.max_grad_norm, self._metrics)

    def _draw(self, batch_size: int) -> tuple[TeamBatch, int, Tensor | None]:
        """Transitions, or whole episodes where agents have a memory: how many of these, and which rows are steps."""
        if self._episodes is None:
            return self.sample_batch(batch_size), batch_size, None
        wrapper = self._vec_normalize_env
        drawn = self._episodes.sample(batch_size, None if wrapper is None else VecNormalizer(wrapper))
        return drawn.steps, drawn.n, drawn.valid

    def _finish_training(self) -> None:
        self.logger.record("rollout/exploration_rate", self.exploration_rate)
        super()._finish_training()

    @property
    def exploration_rate(self) -> float:
        """Probability that an agent acts uniformly, at the present progress."""
        ends = self.exploration_initial_eps, self.exploration_final_eps
        return epsilon_at(*ends, self.exploration_fraction, self._current_progress_remaining)

    def _explore(self, obs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Greedy actions; each agent acts uniformly now and then."""
        actions = self.play(obs, deterministic=True)
        rate, masks = self.exploration_rate, obs.get(ACTION_MASK)
        return noisy_actions(self.team, actions, 0.0, rate, masks, self.cpu_generator, self.resting)


class QMIX(ValueDecomposition):
    """QMIX: agents' utilities mixed monotonically, with weights that depend on the state.

    ``Q_tot(s, a) = f_s(Q_1(o_1, a_1), ..., Q_n(o_n, a_n))`` with ``df_s / dQ_i >= 0``, so that the best joint action
    is every agent's own best one; fitted to ``R + gamma^k Q_tot'(s', argmax of the utilities)`` (double Q-learning).
    Payoffs that no monotonic mixture can represent, such as ``matrix/non_monotonic``, it values wrongly.

    Args:
        policy: ``"MlpPolicy"``; ``"RnnPolicy"`` for agents that remember, which replays whole episodes; or a subclass
            of `ValueTeamPolicy`.
        env: as for `HASAC`; every agent is Discrete, MultiDiscrete or MultiBinary.
        exploration_initial_eps, exploration_final_eps: share of uniform legal actions of each agent, in [0, 1].
        exploration_fraction: share of training over which the first falls to the second, linearly.
        target_update_interval: updates between moves of the target networks.
        max_grad_norm: longer gradients are scaled down to it; None leaves them.
        learning_rate: step size or schedule.
        tau: share by which the targets move; with 1 they are copied.
        batch_size: transitions a gradient step; with ``"RnnPolicy"`` episodes, of which 32 are plenty.
        n_steps: rewards summed before bootstrapping, 1 to 100; 1 with ``"RnnPolicy"``.
        buffer_size, learning_starts, gamma, train_freq, gradient_steps, team_reward: as for `HASAC`.
        policy_kwargs: arguments of `ValueTeamPolicy`, for example ``dict(dueling=True, mixing_width=64)``;
            ``dict(hypernet_gain=0.1)`` where the state's numbers are large and returns are not.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import QMIX
        >>> model = QMIX("matrix/two_step", learning_starts=8, batch_size=8, seed=0).learn(total_timesteps=10)
        >>> model
        QMIX(env='matrix/two_step', learning_starts=8, batch_size=8, seed=0)

    Reference:
        Rashid et al., QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning, 2018.
    """

    parts: ClassVar[dict[str, Any]] = {"mixer": "monotonic"}


class VDN(ValueDecomposition):
    """Value decomposition networks: ``Q_tot(s, a) = sum_i Q_i(o_i, a_i)``. Its arguments are those of `QMIX`.

    Reference:
        Sunehag et al., Value-Decomposition Networks for Cooperative Multi-Agent Learning, 2017.
    """

    parts: ClassVar[dict[str, Any]] = {"mixer": "sum"}
