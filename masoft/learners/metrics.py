"""Averages of training figures, kept as tensors until they are logged, so that no update waits for a number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from stable_baselines3.common.logger import Logger
from torch import Tensor

from masoft.fast.recording import afterwards, aside

LONGEST = 19
"""Length of an agent's name that stable-baselines3's table shows in full behind ``clip_fraction/``."""


class Metrics:
    """Running means by name.

    Args:
        agents: names of agents; a figure of one of them is called ``"<figure>/<agent>"``.
    """

    def __init__(self, agents: Sequence[str] = ()) -> None:
        self._totals: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._labels = log_labels(agents)

    def add(self, name: str, value: Tensor) -> None:
        """Count one scalar."""
        value = value.detach()
        if name not in self._totals:
            with aside():
                self._totals[name] = torch.zeros_like(value)
        self._totals[name].add_(value)
        afterwards(lambda: self._count(name))

    def _count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1

    def __contains__(self, name: str) -> bool:
        """Whether a figure has been counted since the last ``record``."""
        return name in self._counts

    def mean(self, name: str) -> Tensor:
        """The mean of one figure since the last ``record``, scalar."""
        return self._totals[name] / self._counts[name]

    def record(self, logger: Logger) -> None:
        """Write each mean since the last call under ``train/`` and start anew."""
        for name, count in self._counts.items():
            figure, slash, agent = name.partition("/")
            key = f"{figure}{slash}{self._labels.get(agent, agent)}"
            logger.record(f"train/{key}", float(self._totals[name]) / count)
            self._totals[name].zero_()
        self._counts.clear()


def log_labels(agents: Sequence[str]) -> dict[str, str]:
    """What agents are called in logs: their names, where every output keeps these apart.

    TensorBoard replaces characters, a slash would make a group of its own, a comma or a newline breaks a CSV file, and
    stable-baselines3's table cuts long keys and raises where two then meet. Such names are replaced, and those that
    would be cut to the same are shortened in the middle or numbered.

    Args:
        agents: names, all different.

    Returns:
        name -> label, all different, also where they are cut.
    """
    labels: dict[str, str] = {}
    taken: set[str] = set()
    # Names that can stay come first: nobody else gets theirs.
    for name in sorted(agents, key=lambda name: (_clean(name) != name, len(name) > LONGEST)):
        label = next(label for label in _candidates(_clean(name)) if _shown(label) not in taken)
        labels[name] = label
        taken.add(_shown(label))
    return labels


def _candidates(name: str) -> Iterator[str]:
    yield name
    if len(name) > LONGEST:
        yield f"{name[:8]}..{name[-(LONGEST - 10) :]}"
    number = 2
    while True:
        yield f"{name[: LONGEST - 1 - len(str(number))]}-{number}"
        number += 1


def _clean(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name) or "_"


def _shown(label: str) -> str:
    """A label as the table cuts it."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 3]}..."
