"""Updates in the precision that an algorithm was given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from masoft.fast.precision import at_precision

F = TypeVar("F", bound=Callable[..., Any])


def in_own_precision(method: F) -> F:
    """A method of an algorithm, run with its ``precision``; PyTorch's own switches are put back afterwards."""

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        with at_precision(self.precision, self.device):
            return method(self, *args, **kwargs)

    return run  # type: ignore[return-value]
