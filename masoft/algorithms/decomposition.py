"""VDN and QMIX: a joint value made of the agents' own, so that each can choose for itself."""

from __future__ import annotations

from abc import ABC
from dataclasses import InitVar
from functools import partial
from typing import Annotated, Any, ClassVar

from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from masoft.algorithms.common_settings import NETWORKS, ONE_RATE, Schedule
from masoft.algorithms.greedy import EpsilonGreedy, GreedySettings
from masoft.algorithms.normalise import VecNormalizer
from masoft.algorithms.precise import in_own_precision
from masoft.buffers.episodes import EpisodeSampler
from masoft.buffers.replay import TeamBatch
from masoft.errors import ConfigurationError, explain
from masoft.learners.choices import check_enumerable
from masoft.learners.decomposed import DecomposedUpdate
from masoft.learners.presence import shares_of
from masoft.policies.value import ValueTeamPolicy
from masoft.settings import settings
from masoft.validation import Integer, Nothing, Real

CATEGORICAL = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@settings
class DecompositionSettings(GreedySettings):
    """Of QMIX and VDN."""

    mixer: Annotated[str, NETWORKS] = "sum"
    target_update_interval: Annotated[int, Integer(1)] = 1
    max_grad_norm: Annotated[float | None, Real(0, open_low=True), Nothing()] = 10.0
    learning_rate: InitVar[Annotated[float | Schedule, ONE_RATE]] = 5e-4


class ValueDecomposition(DecompositionSettings, EpsilonGreedy, ABC):
    """Abstract: double Q-learning of a mixture of utilities. Its arguments are described at `QMIX`."""

    policy: ValueTeamPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = ValueTeamPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(ValueTeamPolicy.policy_names, ValueTeamPolicy)
    action_kinds = CATEGORICAL
    learning_rate_parts: ClassVar[tuple[str, ...]] = ("critic",)

    def _policy_arguments(self) -> dict[str, Any]:
        return {"mixer": self.mixer, **super()._policy_arguments()}

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

    @in_own_precision
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Fit the mixture of chosen utilities to its one-step target, then move the targets."""
        self._prepare_training()
        if self._episodes is not None and self._episodes.n_episodes() == 0:
            return
        update = self._begin_update()
        for _ in range(gradient_steps):
            drawn, n, valid = self._draw(batch_size)
            presence = tuple(shares_of(drawn.active, self.team.n_agents))
            batch, valid = self.runner.begin((drawn, valid), (update.backup, n, presence, self.tau, self.learners))
            self.runner.run("values", partial(update.learn, batch, n, presence, valid))
            self._n_updates += 1
            if self._n_updates % self.target_update_interval == 0:
                self.runner.run("targets", partial(update.follow, self.tau))
        self._finish_training()

    def _begin_update(self) -> DecomposedUpdate:
        """The update with its numbers as they are now."""
        return DecomposedUpdate(self.policy, self._backup(), self.max_grad_norm, self._metrics)

    def _draw(self, batch_size: int) -> tuple[TeamBatch, int, Tensor | None]:
        """Transitions, or whole episodes where agents have a memory: how many of these, and which rows are steps."""
        if self._episodes is None:
            return self.sample_batch(batch_size), batch_size, None
        wrapper = self._vec_normalize_env
        drawn = self._episodes.sample(batch_size, None if wrapper is None else VecNormalizer(wrapper))
        return drawn.steps, drawn.n, drawn.valid


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
        return_rule: ``"plain"``, or ``"peng"`` for returns of mixed lengths, see `PengReturn`.
        buffer_size, learning_starts, gamma, train_freq, gradient_steps, replay_rule, team_reward: as for `HASAC`.
        policy_kwargs: arguments of `ValueTeamPolicy`, for example ``dict(dueling=True, mixing_width=64)``;
            ``dict(hypernet_gain=0.1)`` where the state's numbers are large and returns are not.
        record: record the pieces of updates once and replay them; ``"compile"``: compile them, too (an experiment).
            See the page on recorded updates.
        precision: of the networks' products in updates, ``"float32"``, ``"tf32"`` or ``"bf16"``.
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
