"""Policies of teams. Reading observations (`masoft.policies.observations`) needs no torch, the networks do."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masoft.networks.actor import Actor
    from masoft.policies.team_policy import TeamPolicy

__all__ = ["Actor", "TeamPolicy"]

_HOME = {"Actor": "masoft.networks.actor", "TeamPolicy": "masoft.policies.team_policy"}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): exported actors are played without torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'masoft.policies' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
