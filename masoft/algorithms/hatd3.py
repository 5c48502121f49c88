"""HATD3, HADDPG, MATD3 and MADDPG: the deterministic template with its parts chosen."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.deterministic import DeterministicPolicyGradient
from masoft.mirror.order import Simultaneous


class HATD3(DeterministicPolicyGradient):
    """Heterogeneous-Agent Twin Delayed DDPG: agents climb a joint twin critic one after the other.

    ``mu_i`` follows the slope of ``Q(s, mu_new of those before, mu_i(o_i), mu_old of those after)``. The critic's
    target smooths the target actors' actions with clipped noise, and the actors move at every second update.

    Args:
        policy: ``"MlpPolicy"``, or a subclass of `DeterministicPolicy`.
        env: as for `HASAC`.
        order: in which order agents improve; a fresh random permutation by default.
        exploration_noise: standard deviation of the noise on Box actions in training, where the Box is [-1, 1]; or a
            `Noise`, such as ``GaussianNoise(Linear(0.3, 0.05))``.
        exploration_epsilon: share of uniform legal actions of categorical agents in training, in [0, 1]; otherwise
            they draw from their softmax.
        policy_delay: updates of the critics for each of the actors and targets.
        target_policy_noise: standard deviation of the noise on the target actors' Box actions.
        target_noise_clip: bound of that noise.
        discrete_gradient: for categorical agents: ``"exact"`` climbs the softmax's expectation of Q over its own
            actions, ``"gumbel"`` the critic's slopes through a straight-through Gumbel-softmax draw, ``"auto"`` is
            exact up to 64 own actions; or a `DiscreteGradient`, such as ``StraightThrough(temperature=0.5)``.
        learning_rate: step size or schedule; or ``dict(actor=, critic=)``.
        buffer_size, learning_starts, batch_size, tau, gamma, train_freq, gradient_steps, n_steps,
            return_rule (``"plain"`` or ``"peng"``), replay_rule, team_reward: as for `HASAC`; tau also
            moves the target actors.
        policy_kwargs: arguments of `DeterministicPolicy`.
        record: record the pieces of updates once and replay them; ``"compile"``: compile them, too (an experiment).
            See the page on recorded updates.
        precision: of the networks' products in updates, ``"float32"``, ``"tf32"`` or ``"bf16"``.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import HATD3
        >>> from masoft.testing import IdentityTeam
        >>> model = HATD3(IdentityTeam(), learning_starts=8, batch_size=8, seed=0).learn(total_timesteps=10)
        >>> model
        HATD3(env=<masoft.testing.games.IdentityTeam object at ...>, learning_starts=8, batch_size=8, seed=0)

    Reference:
        Zhong et al., Heterogeneous-Agent Reinforcement Learning, 2024; Fujimoto et al., Addressing Function
        Approximation Error in Actor-Critic Methods, 2018.
    """

    parts: ClassVar[dict[str, Any]] = {"n_critics": 2}


class HADDPG(DeterministicPolicyGradient):
    """Heterogeneous-Agent DDPG: `HATD3` with one critic, no smoothing of its target and no delay.

    Its arguments are those of `HATD3`, but for the three that these fix.

    Example:
        >>> from masoft import HADDPG
        >>> HADDPG("matrix/climbing", seed=0)
        HADDPG(env='matrix/climbing', seed=0)
    """

    parts: ClassVar[dict[str, Any]] = {
        "n_critics": 1,
        "policy_delay": 1,
        "target_policy_noise": 0.0,
        "target_noise_clip": 0.0,
    }


class MATD3(DeterministicPolicyGradient):
    """`HATD3` without sequential updates: every agent improves against the others' old policies.

    Its arguments are those of `HATD3`, but for ``order``. All agents share one critic, since the reward is the team's.

    Reference:
        Ackermann et al., Reducing Overestimation Bias in Multi-Agent Domains Using Double Centralized Critics, 2019.
    """

    parts: ClassVar[dict[str, Any]] = {**HATD3.parts, "order": Simultaneous()}


class MADDPG(DeterministicPolicyGradient):
    """`HADDPG` without sequential updates: every agent improves against the others' old policies.

    Its arguments are those of `HADDPG`, but for ``order``. All agents share one critic, since the reward is the team's.

    Reference:
        Lowe et al., Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments, 2017.
    """

    parts: ClassVar[dict[str, Any]] = {**HADDPG.parts, "order": Simultaneous()}
