"""A ceiling on what building a model may allocate, so that a small file cannot ask for a huge network."""

from __future__ import annotations

import math
from typing import Any

from torch import Size
from torch.utils._python_dispatch import TorchDispatchMode

from masoft.errors import ModelFileError

FREE_ENTRIES = 2**24
"""What any model may allocate beside its weights: masks, tables of choices, temporaries of the initialisers."""


class AllocationLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, refuses tensors whose sizes together exceed a limit, before they are made.

    Args:
        n_stored: entries of all tensors in the file; a model is built with a few copies of its weights at most.
    """

    def __init__(self, n_stored: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = FREE_ENTRIES + 16 * n_stored

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], list | tuple | Size) and all(isinstance(n, int) for n in args[0]):
            self._left -= math.prod(args[0])
            if self._left < 0:
                raise ModelFileError(
                    "The parameters in this file describe networks far larger than the weights in it: it is damaged, "
                    "or made to exhaust memory."
                )
        return func(*args, **(kwargs or {}))
