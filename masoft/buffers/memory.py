"""How much memory storage takes, said and checked before it is taken.

A system that overcommits grants any size and ends the run when the memory is used, hours later. Pages are still taken
only as a buffer fills; what is checked is what it takes when it is full.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import torch

from masoft.buffers.rows import Layout
from masoft.errors import ConfigurationError, explain

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may use."""


def layout_bytes(layout: Layout) -> int:
    """Bytes of one observation of the whole team."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values())


def memory_of(device: torch.device) -> int | None:
    """Bytes of memory that a device has, or this process may use; None: unknown."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return None
    found = []
    with contextlib.suppress(ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in LIMITS:
        with contextlib.suppress(ValueError, OSError):  # absent, or "max"
            found.append(int(Path(path).read_text()))
    return min(found, default=None)


def check_fits(which: str, asked: int, each: int, device: torch.device) -> None:
    """Refuse storage that is larger than the memory it is to lie in.

    Args:
        which: the argument.
        asked: its value.
        each: bytes of one unit of it.
        device: where the storage is to lie.

    Raises:
        ConfigurationError: says what would fit.
    """
    memory = memory_of(device)
    if memory is not None and asked * each > memory:
        must = f"small enough for memory: at most {memory // each:,} fill the {readable(memory)} of {device.type}"
        cure = f"It would take {readable(asked * each)}. Lower it, and leave room for the rest."
        raise ConfigurationError(explain(which, must, asked, cure))


def readable(n_bytes: float) -> str:
    """Bytes in the largest unit below them, with three digits."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(int(math.log(max(n_bytes, 1), 1000)), len(units) - 1)
    return f"{n_bytes / 1000**power:.3g} {units[power]}"
