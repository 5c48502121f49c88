"""masoft: cooperative multi-agent reinforcement learning on stable-baselines3.

Public names load on first use, so that ``import masoft`` costs nothing and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what an editor and a type checker see; at run time `__getattr__` does it
    from masoft import (
        algorithms as algorithms,
    )
    from masoft import (
        buffers as buffers,
    )
    from masoft import (
        callbacks as callbacks,
    )
    from masoft import (
        cli as cli,
    )
    from masoft import (
        deploy as deploy,
    )
    from masoft import (
        envs as envs,
    )
    from masoft import (
        errors as errors,
    )
    from masoft import (
        files as files,
    )
    from masoft import (
        functional as functional,
    )
    from masoft import (
        mirror as mirror,
    )
    from masoft import (
        networks as networks,
    )
    from masoft import (
        notation as notation,
    )
    from masoft import (
        policies as policies,
    )
    from masoft import (
        presets as presets,
    )
    from masoft import (
        runs as runs,
    )
    from masoft import (
        spec as spec,
    )
    from masoft import (
        studies as studies,
    )
    from masoft import (
        tabular as tabular,
    )
    from masoft import (
        testing as testing,
    )
    from masoft import (
        validation as validation,
    )
    from masoft.algorithms.a2po import A2PO
    from masoft.algorithms.decomposition import QMIX, VDN
    from masoft.algorithms.estimator import clone
    from masoft.algorithms.fop import FOP
    from masoft.algorithms.had3qn import HAD3QN
    from masoft.algorithms.haml import HAML
    from masoft.algorithms.happo import HAA2C, HAPPO, HATRPO
    from masoft.algorithms.hasac import HASAC, MASAC, MEHAML
    from masoft.algorithms.hatd3 import HADDPG, HATD3, MADDPG, MATD3
    from masoft.algorithms.mappo import IPPO, MAPPO, CoPPO
    from masoft.algorithms.saved import load
    from masoft.envs import make, make_vec
    from masoft.studies.comparison import compare

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
    "compare": "masoft.studies.comparison",
    "load": "masoft.algorithms.saved",
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
    "runs",
    "spec",
    "studies",
    "tabular",
    "testing",
    "validation",
)

__all__ = [
    "ALGORITHMS",
    "__version__",
    "A2PO",
    "CoPPO",
    "FOP",
    "HAA2C",
    "HAD3QN",
    "HADDPG",
    "HAML",
    "HAPPO",
    "HASAC",
    "HATD3",
    "HATRPO",
    "IPPO",
    "MADDPG",
    "MAPPO",
    "MASAC",
    "MATD3",
    "MEHAML",
    "QMIX",
    "VDN",
    "clone",
    "compare",
    "load",
    "make",
    "make_vec",
]


if not TYPE_CHECKING:  # or a checker would take any name for granted

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
