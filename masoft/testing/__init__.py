"""Conformance kits and toy games: is this drift, neighborhood, algorithm or environment sound?"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "IdentityTeam": "masoft.testing.games",
    "check_algorithm": "masoft.testing.algorithm_checks",
    "check_batched": "masoft.testing.check_batched",
    "check_drift": "masoft.testing.check_drift",
    "check_env": "masoft.testing.env_checks",
    "check_neighborhood": "masoft.testing.check_neighborhood",
    "check_recordable": "masoft.testing.check_recordable",
    "host_reads": "masoft.testing.host_reads",
}

__all__ = [*sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import the module of a public name on first use (PEP 562), so that each kit costs only those who use it."""
    if name not in _HOME:
        from masoft.errors import nearest

        raise AttributeError(f"module 'masoft.testing' has no attribute {name!r}. {nearest(name, _HOME)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
