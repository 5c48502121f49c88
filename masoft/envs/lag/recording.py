"""Where all aircraft of an episode have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from masoft.envs.lag.aircraft import AircraftState


@dataclass
class Recording:
    """The states of all aircraft, step by step.

    Args:
        sides: colour (``"Red"``, ``"Blue"``) of each aircraft, by name.
        steps: for each step the states of all, in the same order; one that has crashed keeps its last one.
        flying: for each step which of them flew in it.
    """

    sides: Mapping[str, str]
    steps: list[tuple[AircraftState, ...]] = field(default_factory=list)
    flying: list[tuple[bool, ...]] = field(default_factory=list)

    def add(self, states: Sequence[AircraftState], flying: Sequence[bool]) -> None:
        """Append a step."""
        self.steps.append(tuple(states))
        self.flying.append(tuple(flying))
