"""masoft: cooperative multi-agent reinforcement learning on stable-baselines3.

Public names load on first use, so that ``import masoft`` costs nothing and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Algorithm -> the module that defines it. `masoft train` and `masoft presets` know those that stand here.
ALGORITHMS = {
    "HASAC": "masoft.algorithms.hasac",
    "MASAC": "masoft.algorithms.hasac",
    "MEHAML": "masoft.algorithms.hasac",
    "HATD3": "masoft.algorithms.hatd3",
    "HADDPG": "masoft.algorithms.hatd3",
    "MATD3": "masoft.algorithms.hatd3",
    "MADDPG": "masoft.algorithms.hatd3",
    "HAML": "masoft.algorithms.haml",
    "HAPPO": "masoft.algorithms.happo",
    "HATRPO": "masoft.algorithms.happo",
    "HAA2C": "masoft.algorithms.happo",
    "A2PO": "masoft.algorithms.a2po",
    "MAPPO": "masoft.algorithms.mappo",
    "IPPO": "masoft.algorithms.mappo",
    "CoPPO": "masoft.algorithms.mappo",
    "VDN": "masoft.algorithms.decomposition",
    "QMIX": "masoft.algorithms.decomposition",
    "HAD3QN": "masoft.algorithms.had3qn",
    "FOP": "masoft.algorithms.fop",
}

# Public name -> the module that defines it.
_HOME = {
    **ALGORITHMS,
    "clone": "masoft.algorithms.estimator",
    "make": "masoft.envs",
    "make_vec": "masoft.envs",
}

_SUBMODULES = (
    "algorithms",
    "buffers",
    "callbacks",
    "cli",
    "deploy",
    "envs",
    "errors",
    "files",
    "functional",
    "mirror",
    "networks",
    "notation",
    "policies",
    "presets",
    "spec",
    "studies",
    "tabular",
    "testing",
    "validation",
)

__all__ = ["ALGORITHMS", "__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import the module of a public name, or a submodule, on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"masoft.{name}")
    else:
        from masoft.errors import nearest

        raise AttributeError(f"module 'masoft' has no attribute {name!r}. {nearest(name, [*_HOME, *_SUBMODULES])}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])
