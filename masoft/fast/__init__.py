"""What exists only for speed, each piece beside plain code that it equals.

``MASOFT_PLAIN=1`` in the environment leaves it out: networks are then run layer by layer, as PyTorch runs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_LOWERED: list[bool] = []


def is_plain() -> bool:
    """Whether everything is to be done plainly."""
    return bool(_LOWERED) or os.environ.get("MASOFT_PLAIN", "") not in ("", "0")


@contextmanager
def lowered() -> Iterator[None]:
    """While PyTorch itself chooses in which precision each operation is done, which it does for plain layers only."""
    _LOWERED.append(True)
    try:
        yield
    finally:
        _LOWERED.pop()
