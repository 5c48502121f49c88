"""A ceiling on what building a model may allocate, so that a small file cannot ask for a huge network."""

from __future__ import annotations

import math
from typing import Any

from torch import Size
from torch.utils._python_dispatch import TorchDispatchMode

from masoft.errors import ModelFileError, explain

FREE_ENTRIES = 2**24
"""What any model may allocate beside its weights: masks, tables of choices, temporaries of the initialisers."""
MAX_TENSORS = 2**15
"""Most tensors of a file; two hundred agents with four layers each and their optimisers have 20,000."""
FREE_WORK, WORK_PER_TENSOR = 4_000, 32
"""Operations that building any model may take, and more for each tensor in its file; masoft's own take 200 and 3."""
MAX_PARAMETER_VALUES = 4_096
"""Most numbers, strings, lists and dicts that the constructor arguments in a file may consist of."""


class AllocationLimit(TorchDispatchMode):
    """While active, refuses tensors whose sizes together exceed a limit, before they are made, and endless work.

    Args:
        n_stored: entries of all tensors in the file; a model is built with a few copies of its weights at most.
        n_tensors: how many tensors the file has.
    """

    def __init__(self, n_stored: int, n_tensors: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = FREE_ENTRIES + 16 * n_stored
        self._work = FREE_WORK + WORK_PER_TENSOR * n_tensors

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._work -= 1
        if self._work < 0:
            raise ModelFileError(
                "The parameters in this file describe networks of far more layers than there are weights in it: it is "
                "damaged, or made to waste time."
            )
        if args and isinstance(args[0], list | tuple | Size) and all(isinstance(n, int) for n in args[0]):
            self._left -= math.prod(args[0])
            if self._left < 0:
                raise ModelFileError(
                    "The parameters in this file describe networks far larger than the weights in it: it is damaged, "
                    "or made to exhaust memory."
                )
        return func(*args, **(kwargs or {}))


def check_sizes(n_tensors: int, parameters: Any) -> None:
    """Refuse a file whose contents would take long to build, before anything is built.

    Args:
        n_tensors: how many tensors it has.
        parameters: the constructor arguments in it, as JSON values.

    Raises:
        ModelFileError: there are too many of one of them.
    """
    if n_tensors > MAX_TENSORS:
        raise ModelFileError(explain("The tensors in the model file", f"at most {MAX_TENSORS:,}", n_tensors))
    left, pending = MAX_PARAMETER_VALUES, [parameters]
    while pending:
        value = pending.pop()
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left -= len(items)
        if left < 0:
            must = f"made of at most {MAX_PARAMETER_VALUES:,} values"
            raise ModelFileError(explain("The parameters in the model file", must, "more"))
        pending.extend(items)
