"""HASAC, MASAC and MEHAML: the off-policy maximum entropy template with its parts chosen."""

from __future__ import annotations

from masoft.algorithms.soft_actor_critic import SoftActorCritic
from masoft.mirror.drift import NoDrift
from masoft.mirror.neighborhood import Everywhere
from masoft.mirror.order import Simultaneous


class HASAC(SoftActorCritic):
    """Heterogeneous-Agent Soft Actor-Critic: agents improve one after the other on a joint soft Q-function."""

    parts = {"drift": NoDrift(), "neighborhood": Everywhere(), "reference": "update"}


class MASAC(SoftActorCritic):
    """HASAC without sequential updates (Appendix I): every agent improves against the others' old policies."""

    parts = {
        "drift": NoDrift(),
        "neighborhood": Everywhere(),
        "order": Simultaneous(),
        "reference": "update",
    }


class MEHAML(SoftActorCritic):
    """Maximum Entropy Heterogeneous-Agent Mirror Learning, off-policy: Algorithm 1 with a learned soft Q-function."""
