"""A2PO: agents update one by one, each with advantages corrected for those before it."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy
from masoft.mirror.budget import EqualBudget
from masoft.mirror.correction import SequentialRatio
from masoft.mirror.improver import GradientSteps
from masoft.mirror.joint_clip import JointClipDrift
from masoft.mirror.neighborhood import Everywhere
from masoft.mirror.semi_greedy import SemiGreedy


class A2PO(MirrorOnPolicy):
    """Agent-by-Agent Policy Optimization: sequential updates with advantages measured anew for each agent.

    Before each turn the advantages are estimated again as if the agents before had already followed their new
    policies, with traces cut by their ratios. The ratios are clipped together, with more room for those who come
    later, and the order is half greedy. Its arguments are those of `HAPPO`.

    Example:
        >>> from masoft import A2PO
        >>> A2PO("matrix/maxent", clip_range=0.1, seed=0)
        A2PO(env='matrix/maxent', clip_range=0.1, seed=0)

    Reference:
        Wang et al., Order Matters: Agent-by-agent Policy Optimization, ICLR 2023.
    """

    parts: ClassVar[dict[str, Any]] = {
        "drift": JointClipDrift(first=0.5),
        "neighborhood": Everywhere(),
        "budget": EqualBudget(),
        "correction": SequentialRatio(clip=0.5, traces=True),
        "improver": GradientSteps(),
        "target_kl": None,
    }
    order = SemiGreedy()
