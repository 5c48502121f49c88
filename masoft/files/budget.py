"""What a file may claim without holding it: one count for every reader."""

from __future__ import annotations

from typing import Any

from masoft.errors import ModelFileError, explain


class Budget:
    """Counts entries of masks, spaces and states that a file describes, before any of them is made.

    Args:
        most: entries that all of them may have together.
    """

    def __init__(self, most: int) -> None:
        self._most = self.left = most

    def take(self, n: Any, least: int = 1) -> int:
        """A claimed size, if it is a whole number and the total stays within bounds.

        Raises:
            ModelFileError: it is not.
        """
        if not isinstance(n, int) or isinstance(n, bool) or n < least:
            raise ModelFileError(explain("A size in the file", f"a whole number >= {least}", n))
        self.left -= n
        if self.left < 0:
            raise ModelFileError(f"The team in the file has more than {self._most:,} entries.")
        return n
