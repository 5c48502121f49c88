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


MATRIX = (Entry("matrix/maxent", f"{_ADAPTERS}.matrix:maxent"),)

MPE = tuple(
    Entry(f"mpe/{scenario}", f"{_ADAPTERS}.mpe:make_mpe", {"scenario": scenario}, requires=("mpe2",))
    for scenario in ("simple_spread_v3", "simple_reference_v3", "simple_speaker_listener_v4")
)

CATALOGUE: tuple[Entry, ...] = MATRIX + MPE
