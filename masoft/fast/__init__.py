"""What exists only for speed, each piece beside plain code that it equals.

``MASOFT_PLAIN=1`` in the environment leaves it out: networks are then run layer by layer, as PyTorch runs them.
"""

from __future__ import annotations

import os


def is_plain() -> bool:
    """Whether everything is to be done plainly."""
    return os.environ.get("MASOFT_PLAIN", "") not in ("", "0")
