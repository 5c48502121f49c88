"""Environments: teams as stable-baselines3 sees them, ids, and adapters to the benchmarks people know.

Nothing here imports torch until a vectorised environment is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from masoft.envs.registry import Registration, find, imports_own_code, make, register, registered

if TYPE_CHECKING:
    from masoft.envs.batched import BatchedStep, BatchedVecEnv
    from masoft.envs.team_env import TeamEnv
    from masoft.envs.vector import as_vec_env, make_vec
    from masoft.envs.vector_team import team_of
    from masoft.envs.wrapping import TeamFrameStack, norm_obs_keys

__all__ = [
    "BatchedStep",
    "BatchedVecEnv",
    "Registration",
    "TeamEnv",
    "TeamFrameStack",
    "as_vec_env",
    "find",
    "imports_own_code",
    "make",
    "make_vec",
    "norm_obs_keys",
    "register",
    "registered",
    "team_of",
]

_HOME = {
    "BatchedStep": "masoft.envs.batched",
    "BatchedVecEnv": "masoft.envs.batched",
    "TeamEnv": "masoft.envs.team_env",
    "TeamFrameStack": "masoft.envs.wrapping",
    "as_vec_env": "masoft.envs.vector",
    "make_vec": "masoft.envs.vector",
    "norm_obs_keys": "masoft.envs.wrapping",
    "team_of": "masoft.envs.vector_team",
}


def __getattr__(name: str) -> Any:
    """Import what is heavier on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'masoft.envs' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
