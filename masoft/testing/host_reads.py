"""Which lines of code look from the host at numbers that lie on a device; no device is needed to see it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

BY_NAME = ("numpy", "tolist", "item", "cpu", "__array__", "__bool__", "__int__", "__float__", "__index__", "nonzero")
"""Methods of tensors that look."""

BY_OPERATION = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "_unique2")
"""Operators that wait for numbers, or whose result's shape depends on them."""


class _Functions(TorchFunctionMode):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in BY_NAME and any(isinstance(each, torch.Tensor) for each in args[:1]):
            self._tell(name)
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tell = tell

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_flags = name.startswith("index") and len(args) > 1 and _has_flags(args[1])
        if name in BY_OPERATION or by_flags:
            self._tell(name)
        return func(*args, **(kwargs or {}))


def _has_flags(indices: Any) -> bool:
    each = indices if isinstance(indices, list | tuple) else [indices]
    return any(isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in each)


@contextmanager
def host_reads(inside: str = "masoft", but: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Note each look from the host at a tensor's numbers meanwhile, with the line that asks for it.

    On a GPU such a look waits for all that was asked for before. Here the processor stands for the GPU: every tensor
    counts as one that lies there.

    Args:
        inside: part of the path of files whose lines are named.
        but: looks with one of these parts of paths among their callers are not counted, such as a simulator's own.

    Yields:
        a list of ``"item at file:line"``, which grows.

    Example:
        >>> import torch
        >>> from masoft.testing import host_reads
        >>> with host_reads() as reads:
        ...     largest = torch.ones(3).max()
        ...     _ = float(largest)
        >>> len(reads) > 0
        True
    """
    found: list[str] = []

    def tell(name: str) -> None:
        frames = traceback.extract_stack()[:-2]
        if any(part in frame.filename for part in but for frame in frames):
            return
        own = [frame for frame in frames if inside in frame.filename and not frame.filename.endswith("host_reads.py")]
        where = own[-1] if own else frames[-1]
        found.append(f"{name} at {where.filename}:{where.lineno}")

    with _Functions(tell), _Operators(tell):
        yield found
