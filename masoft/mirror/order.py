"""In which order the agents of a team are updated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.validation import Integer

Improvements: TypeAlias = Tensor | Sequence[float] | Callable[[tuple[int, ...]], Tensor | Sequence[float]]
"""Expected improvement of each agent, (n_agents,), or a function from agent numbers to their improvements now."""


@dataclass(frozen=True)
class Order(ABC):
    """An order of agents for one sweep of updates.

    ``sequential`` says whether an agent sees the new policies of those before it; ``needs_improvements`` whether a
    draw needs each agent's expected improvement; ``everybody`` whether each draw has all agents.
    """

    sequential: ClassVar[bool] = True
    everybody: ClassVar[bool] = True
    needs_improvements: ClassVar[bool] = False

    @abstractmethod
    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        """The whole order at once.

        Args:
            n_agents: number of agents.
            generator: decides random orders.
            improvements: expected improvement of each agent, for orders that need it.

        Returns:
            agent numbers from 0, none twice; most orders have each of them.
        """

    def walk(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> Iterator[int]:
        """The order one agent at a time, so that a greedy order can look again after each update.

        A loop ``for i in order.walk(...)`` asks ``improvements(remaining)`` anew before each agent, when those before
        it have already moved.
        """
        yield from self.draw(n_agents, generator, improvements)


@dataclass(frozen=True)
class RandomPermutation(Order):
    """A fresh random permutation each sweep, as in Algorithms 1 and 2."""

    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        return tuple(torch.randperm(n_agents, generator=generator).tolist())


@dataclass(frozen=True)
class RandomSubset(Order):
    """A fresh random part of the team each sweep, in random order; the others keep their policies until they are drawn.

    For large teams, where a sweep over everybody takes long. A step of a few agents is a step of the template like any
    other: what holds for an agent's turn does not ask who else has one. It takes more sweeps until all have moved.

    Args:
        size: agents a sweep, at least 1; in a smaller team everybody.

    Raises:
        ConfigurationError: ``size`` is no such number.
    """

    everybody: ClassVar[bool] = False
    size: int

    def __post_init__(self) -> None:
        if not Integer(1).accepts(self.size):
            raise ConfigurationError(explain("size of RandomSubset", "an integer >= 1", self.size))

    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        return RandomPermutation().draw(n_agents, generator)[: self.size]


@dataclass(frozen=True)
class FixedOrder(Order):
    """The same order each sweep.

    Args:
        order: agent numbers from 0; None is 0, 1, 2, ...
    """

    order: tuple[int, ...] | None = None

    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        if self.order is None:
            return tuple(range(n_agents))
        if sorted(self.order) != list(range(n_agents)):
            must = f"each of 0 to {n_agents - 1} once"
            raise ConfigurationError(explain("The order of FixedOrder", must, self.order))
        return tuple(self.order)


@dataclass(frozen=True)
class Simultaneous(Order):
    """All agents at once: each improves against the others' old policies (MAPPO, MASAC), so no guarantee holds."""

    sequential: ClassVar[bool] = False

    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        return tuple(range(n_agents))


@dataclass(frozen=True)
class Greedy(Order):
    """The agent with the largest expected improvement first; ties go to the lower number.

    ``draw`` ranks all agents by one look; ``walk`` looks again after each update.
    """

    needs_improvements: ClassVar[bool] = True

    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        agents = tuple(range(n_agents))
        values = _ask(improvements, agents)
        return tuple(sorted(agents, key=lambda agent: -values[agent]))

    def walk(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> Iterator[int]:
        if not callable(improvements):
            yield from self.draw(n_agents, generator, improvements)
            return
        remaining = tuple(range(n_agents))
        while remaining:
            values = _ask(improvements, remaining)
            best = max(range(len(remaining)), key=lambda k: (values[k], -remaining[k]))
            yield remaining[best]
            remaining = remaining[:best] + remaining[best + 1 :]


def _ask(improvements: Improvements | None, agents: tuple[int, ...]) -> list[float]:
    """The improvements of the given agents as numbers."""
    if improvements is None:
        cure = "Pass a tensor (n_agents,) or a function of the remaining agents."
        raise ConfigurationError(explain("The improvements", "given, since Greedy needs them", None, cure))
    answer = improvements(agents) if callable(improvements) else improvements
    values = [float(value) for value in answer]
    if len(values) != len(agents):
        raise ConfigurationError(explain("The improvements", f"{len(agents)} numbers, one an agent", values))
    return values
