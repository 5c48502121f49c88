"""Methods that update all agents at once: MAPPO, IPPO and CoPPO."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy
from masoft.mirror.budget import EqualBudget
from masoft.mirror.correction import CoordinatedRatio, SequentialRatio
from masoft.mirror.drift import ClipDrift
from masoft.mirror.improver import GradientSteps
from masoft.mirror.joint_clip import JointClipDrift
from masoft.mirror.neighborhood import Everywhere
from masoft.mirror.order import Simultaneous


class MAPPO(MirrorOnPolicy):
    """Multi-Agent PPO: PPO's clipped step for all agents at once, on the joint advantage.

    Nobody sees the others' steps, so improvement of the joint policy is not guaranteed. Its arguments are those of
    `HAPPO`, but for ``order``. ``policy_kwargs=dict(share_parameters=True)`` gives agents of equal spaces one network,
    ``critic_input="agent"`` one value an agent.

    Example:
        >>> from masoft import MAPPO
        >>> MAPPO("matrix/maxent", critic_input="agent", seed=0)
        MAPPO(env='matrix/maxent', critic_input='agent', seed=0)

    Reference:
        Yu et al., The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games, NeurIPS 2022.
    """

    parts: ClassVar[dict[str, Any]] = {
        "drift": ClipDrift(),
        "neighborhood": Everywhere(),
        "budget": EqualBudget(),
        "order": Simultaneous(),
        "correction": SequentialRatio(),
        "improver": GradientSteps(),
        "target_kl": None,
    }


class IPPO(MirrorOnPolicy):
    """Independent PPO: each agent has a critic of its own, which sees its own observation alone.

    All learn from the team's reward. Its arguments are those of `MAPPO`, but for ``critic_input``.

    Example:
        >>> from masoft import IPPO
        >>> IPPO("matrix/maxent", seed=0)
        IPPO(env='matrix/maxent', seed=0)

    Reference:
        de Witt et al., Is Independent Learning All You Need in the StarCraft Multi-Agent Challenge?, 2020.
    """

    parts: ClassVar[dict[str, Any]] = {**MAPPO.parts, "critic_input": "observation"}


class CoPPO(MirrorOnPolicy):
    """Coordinated PPO: all agents at once, each weighing its advantage by the others' present ratios.

    The product of the others' ratios is clipped to half the range, and its product with the agent's own to the whole
    one (the double clip). Its arguments are those of `MAPPO`.

    Example:
        >>> from masoft import CoPPO
        >>> CoPPO("matrix/maxent", clip_range=0.1, seed=0)
        CoPPO(env='matrix/maxent', clip_range=0.1, seed=0)

    Reference:
        Wu et al., Coordinated Proximal Policy Optimization, NeurIPS 2021.
    """

    parts: ClassVar[dict[str, Any]] = {**MAPPO.parts, "drift": JointClipDrift(), "correction": CoordinatedRatio()}
