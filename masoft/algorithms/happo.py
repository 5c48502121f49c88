"""HAPPO, HATRPO and HAA2C: agents improve one after the other on joint advantages."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy
from masoft.mirror.budget import EqualBudget
from masoft.mirror.correction import SequentialRatio
from masoft.mirror.drift import ClipDrift, NoDrift
from masoft.mirror.improver import GradientSteps, NaturalGradient
from masoft.mirror.neighborhood import Everywhere, KLBall


class HAPPO(MirrorOnPolicy):
    """Heterogeneous-Agent PPO: PPO's clipped step for each agent in turn, on advantages of those before it.

    The template with `ClipDrift`, which makes the surrogate PPO's clipped minimum. Its arguments are those of `HAML`,
    but for ``drift``, ``neighborhood``, ``correction`` and ``improver``, and:

    Args:
        clip_range: how far an agent's ratio may leave 1 before it gains nothing more; a number > 0, or a schedule.

    Example:
        >>> from masoft import HAPPO
        >>> HAPPO("matrix/maxent", clip_range=0.1, seed=0)
        HAPPO(env='matrix/maxent', clip_range=0.1, seed=0)

    Reference:
        Kuba et al., Trust Region Policy Optimisation in Multi-Agent Reinforcement Learning, ICLR 2022.
    """

    parts: ClassVar[dict[str, Any]] = {
        "drift": ClipDrift(),
        "neighborhood": Everywhere(),
        "budget": EqualBudget(),
        "correction": SequentialRatio(),
        "improver": GradientSteps(),
        "target_kl": None,
    }


class HATRPO(MirrorOnPolicy):
    """Heterogeneous-Agent TRPO: a natural gradient step with line search for each agent in turn, inside a KL ball.

    One step on the whole rollout an agent. Its arguments are those of `HAML`, but for ``drift``, ``neighborhood``,
    ``correction``, ``improver``, ``batch_size`` and ``n_epochs``, and:

    Args:
        target_kl: radius of the ball: largest mean KL of the old policy from the new one; a number >= 0, or a schedule.
        budget: how the radius is dealt among agents; `SlopeBudget` is HATRPO-W.

    Example:
        >>> from masoft import HATRPO
        >>> HATRPO("matrix/maxent", target_kl=0.02, seed=0)
        HATRPO(env='matrix/maxent', target_kl=0.02, seed=0)

    Reference:
        Kuba et al., Trust Region Policy Optimisation in Multi-Agent Reinforcement Learning, ICLR 2022.
    """

    parts: ClassVar[dict[str, Any]] = {
        "drift": NoDrift(),
        "neighborhood": KLBall(),
        "correction": SequentialRatio(),
        "improver": NaturalGradient(),
        "clip_range": None,
        "batch_size": None,
        "n_epochs": 1,
    }
    n_critic_epochs = 10


class HAA2C(MirrorOnPolicy):
    """Heterogeneous-Agent A2C: one plain gradient step on the whole rollout for each agent in turn.

    Its arguments are those of `HAML`, but for ``drift``, ``neighborhood``, ``correction``, ``improver``,
    ``batch_size`` and ``n_epochs``.

    Example:
        >>> from masoft import HAA2C
        >>> HAA2C("matrix/maxent", n_steps=64, seed=0)
        HAA2C(env='matrix/maxent', n_steps=64, seed=0)

    Reference:
        Zhong et al., Heterogeneous-Agent Reinforcement Learning, JMLR 2024.
    """

    parts: ClassVar[dict[str, Any]] = {
        **HAPPO.parts,
        "drift": NoDrift(),
        "clip_range": None,
        "batch_size": None,
        "n_epochs": 1,
    }
    n_critic_epochs, n_steps, learning_rate = 5, 128, 1e-3
