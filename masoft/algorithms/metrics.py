"""Averages of training figures, kept as tensors until they are logged, so that no update waits for a number."""

from __future__ import annotations

from stable_baselines3.common.logger import Logger
from torch import Tensor


class Metrics:
    """Running means by name."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Count one scalar."""
        value = value.detach()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def __contains__(self, name: str) -> bool:
        """Whether a figure has been counted since the last ``record``."""
        return name in self._sums

    def mean(self, name: str) -> Tensor:
        """The mean of one figure since the last ``record``, scalar."""
        return self._sums[name] / self._counts[name]

    def record(self, logger: Logger) -> None:
        """Write each mean since the last call under ``train/`` and start anew."""
        for name, total in self._sums.items():
            logger.record(f"train/{name}", float(total) / self._counts[name])
        self._sums.clear()
        self._counts.clear()
