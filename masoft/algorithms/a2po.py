"""A2PO: agents update one by one, each with advantages corrected for those before it."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy
from masoft.mirror.correction import SequentialRatio
from masoft.mirror.improver import GradientSteps
from masoft.mirror.joint_clip import JointClipDrift
from masoft.mirror.neighborhood import Everywhere
from masoft.mirror.semi_greedy import SemiGreedy


class A2PO(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {
        "drift": JointClipDrift(first=0.5),
        "neighborhood": Everywhere(),
        "correction": SequentialRatio(clip=0.5, traces=True),
        "improver": GradientSteps(),
        "target_kl": None,
    }
    defaults: ClassVar[dict[str, Any]] = {"order": SemiGreedy()}
