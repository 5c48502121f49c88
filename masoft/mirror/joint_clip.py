"""The drift of methods that clip the joint ratio: A2PO and CoPPO."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from masoft.functional.divergence import clip_gap
from masoft.mirror.change import PolicyChange
from masoft.mirror.drift import Drift
from masoft.mirror.schedule import Scheduled, check_scheduled, number
from masoft.validation import Real, check_parameters


@dataclass(frozen=True)
class JointClipDrift(Drift):
    """``ReLU((l - clip(l, 1 - c, 1 + c)) A)`` with ``l = joint_ratio * r``: leaves ``min(l A, clip(l) A)`` of ``l A``.

    Zero, with zero slope, at the old policy as long as the others' joint ratio is itself inside the clip range, which
    is why the correction clips it closer to 1.

    Args:
        clip_range: c >= 0, or a schedule; at 0, where a schedule may end, nobody moves.
        first: share of the clip range that the first agent of a sweep has; it grows linearly to 1 for the last, who
            has nobody left to disturb (A2PO). 1: all have the same.

    Reference:
        Wang et al., Order Matters: Agent-by-agent Policy Optimization, 2023; Wu et al., Coordinated Proximal Policy
        Optimization, 2021.
    """

    clip_range: Scheduled = 0.2
    first: float = 1.0

    def __post_init__(self) -> None:
        check_scheduled(self, "clip_range")
        check_parameters("JointClipDrift", {"first": (Real(0, 1, open_low=True),)}, {"first": self.first})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"advantage", "actions"})

    def in_turn(self, k: int, n_agents: int) -> JointClipDrift:
        """The drift of the k-th agent of a sweep, k from 1 to ``n_agents``."""
        clip_range = number(self.clip_range, "JointClipDrift's clip_range")
        share = self.first + (1 - self.first) * k / n_agents
        return replace(self, clip_range=share * clip_range, first=1.0)

    def __call__(self, change: PolicyChange) -> Tensor:
        clip_range = number(self.clip_range, "JointClipDrift's clip_range")
        advantage = change.require("advantage", "JointClipDrift")
        joint = change.ratio() if change.joint_ratio is None else change.joint_ratio * change.ratio()
        return clip_gap(joint, advantage, clip_range)
