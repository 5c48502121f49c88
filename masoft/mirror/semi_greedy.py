"""The update order of A2PO: between the greedy one and a random one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from masoft.mirror.order import Greedy, Improvements, Order


@dataclass(frozen=True)
class SemiGreedy(Order):
    """The agent with the largest expected improvement, then a random one of the rest, and so on in turn.

    Greedy alone would let agents that gain little always come last.

    Reference:
        Wang et al., Order Matters: Agent-by-agent Policy Optimization, 2023.
    """

    needs_improvements: ClassVar[bool] = True

    def draw(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> tuple[int, ...]:
        ranked = list(Greedy().draw(n_agents, improvements=improvements))
        order: list[int] = []
        while ranked:
            order.append(ranked.pop(self._place(len(order), len(ranked), generator)))
        return tuple(order)

    def walk(
        self, n_agents: int, generator: torch.Generator | None = None, improvements: Improvements | None = None
    ) -> Iterator[int]:
        if not callable(improvements):
            yield from self.draw(n_agents, generator, improvements)
            return
        remaining = list(range(n_agents))
        for k in range(n_agents):
            if k % 2 == 0:
                values = [float(value) for value in improvements(tuple(remaining))]
                place = max(range(len(remaining)), key=lambda j: values[j])
            else:
                place = self._place(k, len(remaining), generator)
            yield remaining.pop(place)

    @staticmethod
    def _place(k: int, n_left: int, generator: torch.Generator | None) -> int:
        """Which of those left comes next: the first at even places, any at odd ones."""
        return 0 if k % 2 == 0 else int(torch.randint(n_left, (), generator=generator))
