"""The state of a whole VecEnv, its wrappers included; see `masoft.envs.snapshot` for that of one environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from masoft.envs.snapshot import offers_snapshot

MONITOR = ("rewards", "total_steps", "needs_reset")


def vector_values(vec_env: VecEnv) -> dict[str, Any] | None:
    """Snapshots of all environments of a VecEnv and of what its wrappers know of their episodes.

    Returns:
        values for `restore_vector`, or None where an environment or a wrapper cannot give them.
    """
    wrappers, base = layers_of_vector(vec_env)
    if not all(isinstance(wrapper, VecNormalize | VecMonitor) for wrapper in wrappers):
        return None
    monitors = [
        {"returns": _array(w.episode_returns), "lengths": _array(w.episode_lengths), "count": w.episode_count}
        for w in wrappers
        if isinstance(w, VecMonitor)
    ]
    if offers_snapshot(base):
        own = base.get_snapshot()  # type: ignore[attr-defined]
        return None if own is None else {"native": own, "vec_monitors": monitors}
    if not isinstance(base, DummyVecEnv | SubprocVecEnv) or not base.has_attr("get_snapshot"):
        return None
    snapshots = base.env_method("get_snapshot")
    if any(snapshot is None for snapshot in snapshots):
        return None
    watched = all(base.env_is_wrapped(Monitor))
    running = {name: base.get_attr(name) for name in MONITOR} if watched else {}
    return {"environments": snapshots, "monitors": running, "vec_monitors": monitors}


def _array(values: Any) -> Any:
    """A copy in main memory of what a monitor counts, which is a tensor where steps are some."""
    return np.array(values.cpu().numpy() if hasattr(values, "cpu") else values)


def restore_vector(vec_env: VecEnv, values: Mapping[str, Any]) -> bool:
    """Continue all environments of a VecEnv from `vector_values`.

    Returns:
        whether they now are where they were; False leaves them in need of a reset.
    """
    wrappers, base = layers_of_vector(vec_env)
    base.reset()  # wrappers inside want to have seen a reset; VecNormalize outside must not
    if "native" in values:
        if not offers_snapshot(base):
            return False
        base.set_snapshot(values["native"])  # type: ignore[attr-defined]
    else:
        snapshots = values["environments"]
        if not isinstance(base, DummyVecEnv | SubprocVecEnv) or len(snapshots) != base.num_envs:
            return False
        if not base.has_attr("set_snapshot"):
            return False
        for index, snapshot in enumerate(snapshots):
            base.env_method("set_snapshot", snapshot, indices=index)
            for name, by_env in values["monitors"].items():
                base.set_attr(name, by_env[index], indices=index)
    monitors = [wrapper for wrapper in wrappers if isinstance(wrapper, VecMonitor)]
    if len(monitors) != len(values["vec_monitors"]):
        return False
    for monitor, known in zip(monitors, values["vec_monitors"], strict=True):
        monitor.episode_returns, monitor.episode_lengths = known["returns"].copy(), known["lengths"].copy()
        monitor.episode_count = known["count"]
    return same_values(vector_values(vec_env), values)


def same_values(one: Any, other: Any) -> bool:
    """Whether two nests of plain values are equal, NaN counting as equal to itself."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_values(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same_values(a, b) for a, b in zip(one, other, strict=True))
    if one is None or other is None or isinstance(one, str):
        return bool(one == other)
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")


def layers_of_vector(vec_env: VecEnv) -> tuple[list[VecEnvWrapper], VecEnv]:
    """The wrappers from outside to inside, and what they wrap."""
    wrappers = []
    while isinstance(vec_env, VecEnvWrapper):
        wrappers.append(vec_env)
        vec_env = vec_env.venv
    return wrappers, vec_env
