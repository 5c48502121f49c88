"""Methods that update all agents at once: MAPPO, IPPO and CoPPO."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy
from masoft.mirror.correction import CoordinatedRatio, SequentialRatio
from masoft.mirror.drift import ClipDrift
from masoft.mirror.improver import GradientSteps
from masoft.mirror.joint_clip import JointClipDrift
from masoft.mirror.neighborhood import Everywhere
from masoft.mirror.order import Simultaneous


class MAPPO(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {
        "drift": ClipDrift(),
        "neighborhood": Everywhere(),
        "order": Simultaneous(),
        "correction": SequentialRatio(),
        "improver": GradientSteps(),
        "target_kl": None,
    }


class IPPO(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {**MAPPO.parts, "critic_input": "observation"}


class CoPPO(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {**MAPPO.parts, "drift": JointClipDrift(), "correction": CoordinatedRatio()}
