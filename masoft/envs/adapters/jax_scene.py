"""What all simulators in JAX share: one thread, a scene of keys and states, seeds, and snapshots."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# XLA spreads work of microseconds over threads that spin while they wait; one thread costs a fraction.
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Scene(NamedTuple):
    """The games as they stand.

    Args:
        keys: (n, 2), each game's own source of randomness.
        state: the simulator's, every array with a leading n.
    """

    keys: Any
    state: Any


def load_jax() -> Any:
    """JAX on the CPU, on one thread unless ``XLA_FLAGS`` says otherwise; both can only be said before its first use."""
    if "jax" not in sys.modules:
        os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    return jax


def tensor_device(tensors: bool | None) -> Any:
    """Where a batch of games keeps its numbers as tensors; None: it gives arrays.

    Args:
        tensors: what was asked for; None: tensors where JAX does not compute on the CPU.
    """
    import torch

    platform = load_jax().devices()[0].platform
    if tensors is False or (tensors is None and platform == "cpu"):
        return None
    return torch.device("cpu" if platform == "cpu" else "cuda")


def as_tensor(array: Any) -> Any:
    """An array of JAX's as a tensor at the same place in memory, which nobody may write to."""
    from torch.utils.dlpack import from_dlpack

    return from_dlpack(array)


def as_jax(tensor: Any) -> Any:
    """A tensor as an array of JAX's, at the same place in memory where it lies in one piece."""
    return load_jax().numpy.from_dlpack(tensor.contiguous())


def keys_of(seeds: Sequence[int]) -> Any:
    """One key a seed, (n, 2)."""
    jax = load_jax()
    return jax.numpy.stack([jax.random.PRNGKey(seed % 2**32) for seed in seeds])


def keys_to_start(seeds: Sequence[int | None], scene: Scene | None) -> Any:
    """The keys to start from: a seed's where there is one, else the game's own, else a fresh one."""
    if scene is not None and all(seed is None for seed in seeds):
        return scene.keys
    fresh = np.random.default_rng().integers(2**32, size=len(seeds)).tolist()
    known = keys_of([new if seed is None else seed for seed, new in zip(seeds, fresh, strict=True)])
    if scene is None:
        return known
    given = np.array([seed is not None for seed in seeds])
    return load_jax().numpy.where(given[:, None], known, scene.keys)


def plain(scene: Scene) -> list[NDArray[Any]]:
    """A scene as arrays, for snapshots."""
    return [np.array(leaf) for leaf in load_jax().tree.leaves(scene)]


def restored(like: Scene, arrays: Sequence[NDArray[Any]]) -> Scene:
    """A scene from `plain`, in the form of another one."""
    jax = load_jax()
    leaves, structure = jax.tree.flatten(like)
    put = [jax.numpy.asarray(array, leaf.dtype) for array, leaf in zip(arrays, leaves, strict=True)]
    scene: Scene = jax.tree.unflatten(structure, put)
    return scene
