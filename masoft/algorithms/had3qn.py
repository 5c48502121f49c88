"""HAD3QN: dueling double Q-learning in which agents choose one after the other."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy

from masoft.algorithms.common_settings import OrderOfItself
from masoft.algorithms.greedy import EpsilonGreedy, GreedySettings
from masoft.algorithms.precise import in_own_precision
from masoft.learners.choices import check_enumerable, exact_choices
from masoft.learners.dueling import DuelingUpdate
from masoft.mirror.discrete_gradient import Exact
from masoft.mirror.order import Order, RandomPermutation
from masoft.policies.dueling import DuelingPolicy
from masoft.settings import settings


@settings
class DuelingSettings(GreedySettings):
    """Of HAD3QN."""

    order: Annotated[Order, OrderOfItself()] = RandomPermutation()


class HAD3QN(DuelingSettings, EpsilonGreedy):
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
        buffer_size, learning_starts, batch_size, tau, gamma, train_freq, gradient_steps, n_steps,
            return_rule (``"plain"`` or ``"peng"``), replay_rule, team_reward: as for `HASAC`.
        policy_kwargs: arguments of `DuelingPolicy`.
        record: record the pieces of updates once and replay them; ``"compile"``: compile them, too (an experiment).
            See the page on recorded updates.
        precision: of the networks' products in updates, ``"float32"``, ``"tf32"`` or ``"bf16"``.
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

    def _check_team(self) -> None:
        super()._check_team()
        check_enumerable(self.team, type(self).__name__)

    def _setup_model(self) -> None:
        super()._setup_model()
        self._choices = exact_choices(self.team, Exact(), self.device)

    @in_own_precision
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """The joint critic first, then one agent's values after the other, then the target critic."""
        self._prepare_training()
        update = self._begin_update()
        for _ in range(gradient_steps):
            batch = self.runner.begin(self.sample_batch(batch_size), (update.backup, self.tau, self.learners))
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
        return DuelingUpdate(self.policy, self._choices, self._backup(), self._metrics)
