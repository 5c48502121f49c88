"""The environments that masoft knows by name, as data; nothing here imports a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ADAPTERS = "masoft.envs.adapters"


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue; the fields are those of `masoft.envs.registry.Registration`."""

    id: str
    entry_point: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    extra: str | None = None
    requires: tuple[str, ...] = ()
    vector_entry_point: str | None = None
    install: str | None = None


MATRIX = (
    Entry("matrix/maxent", f"{_ADAPTERS}.matrix:maxent"),
    Entry("matrix/climbing", f"{_ADAPTERS}.matrix:climbing"),
    Entry("matrix/non_monotonic", f"{_ADAPTERS}.matrix:non_monotonic"),
    Entry("matrix/two_step", f"{_ADAPTERS}.two_step:TwoStepGame"),
)

MPE = tuple(
    Entry(f"mpe/{scenario}", f"{_ADAPTERS}.mpe:make_mpe", {"scenario": scenario}, requires=("mpe2",))
    for scenario in ("simple_spread_v3", "simple_reference_v3", "simple_speaker_listener_v4")
)

MAMUJOCO = tuple(
    Entry(
        f"mamujoco/{scenario}-{factorisation}",
        f"{_ADAPTERS}.mamujoco:make_mamujoco",
        {"scenario": scenario, "factorisation": factorisation},
        extra="mamujoco",
        requires=("gymnasium_robotics", "mujoco"),
    )
    for scenario, factorisations in (
        ("Ant", ("2x4", "4x2", "8x1")),
        ("HalfCheetah", ("2x3", "3x2", "6x1")),
        ("HumanoidStandup", ("17x1",)),
        ("ManySegmentSwimmer", ("10x2",)),
        ("Walker2d", ("2x3", "6x1")),
    )
    for factorisation in factorisations
)

CATALOGUE: tuple[Entry, ...] = MATRIX + MPE + MAMUJOCO
