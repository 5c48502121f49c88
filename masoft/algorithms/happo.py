"""HAML and its heterogeneous-agent instances: HAPPO, HATRPO and HAA2C."""

from __future__ import annotations

from typing import Any, ClassVar

from masoft.algorithms.mirror_on_policy import MirrorOnPolicy
from masoft.mirror.correction import SequentialRatio
from masoft.mirror.drift import ClipDrift, NoDrift
from masoft.mirror.improver import GradientSteps, NaturalGradient
from masoft.mirror.neighborhood import Everywhere, KLBall


class HAML(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {"clip_range": None, "target_kl": None}


class HAPPO(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {
        "drift": ClipDrift(),
        "neighborhood": Everywhere(),
        "correction": SequentialRatio(),
        "improver": GradientSteps(),
        "target_kl": None,
    }


class HATRPO(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {
        "drift": NoDrift(),
        "neighborhood": KLBall(),
        "correction": SequentialRatio(),
        "improver": NaturalGradient(),
        "clip_range": None,
        "batch_size": None,
        "n_epochs": 1,
    }


class HAA2C(MirrorOnPolicy):
    """x"""

    parts: ClassVar[dict[str, Any]] = {
        "drift": NoDrift(),
        "neighborhood": Everywhere(),
        "correction": SequentialRatio(),
        "improver": GradientSteps(),
        "clip_range": None,
        "target_kl": None,
        "batch_size": None,
        "n_epochs": 1,
    }
