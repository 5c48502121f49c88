"""Trained teams without their training: one ONNX file an agent, a JSON contract, and a player that needs no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masoft.deploy.contract import Contract, read_contract
    from masoft.deploy.export import export_policy
    from masoft.deploy.runtime import DeployedTeam, load

__all__ = ["Contract", "DeployedTeam", "export_policy", "load", "read_contract"]

_HOME = {
    "Contract": "masoft.deploy.contract",
    "DeployedTeam": "masoft.deploy.runtime",
    "export_policy": "masoft.deploy.export",
    "load": "masoft.deploy.runtime",
    "read_contract": "masoft.deploy.contract",
}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): only exporting needs torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'masoft.deploy' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
