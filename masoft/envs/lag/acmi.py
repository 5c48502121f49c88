"""Flights as ACMI text files, the format of Tacview, with which people look at air combat."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from masoft.envs.lag.aircraft import STEP_SECONDS, AircraftState
from masoft.envs.lag.recording import Recording

HEADER = ("FileType=text/acmi/tacview", "FileVersion=2.1", "0,ReferenceTime=2000-01-01T00:00:00Z")


def write_acmi(recording: Recording, path: str | Path) -> Path:
    """Write a recorded flight.

    Args:
        recording: what to write; an aircraft vanishes in the step after its crash.
        path: of the file; Tacview expects the ending ``.acmi``.

    Returns:
        the path.

    Reference:
        Tacview's technical documentation, "ACMI 2.x flight recordings".
    """
    path = Path(path)
    path.write_text("\n".join(acmi_lines(recording)) + "\n", encoding="utf-8-sig")  # the format wants the byte mark
    return path


def acmi_lines(recording: Recording) -> Iterator[str]:
    """The file's lines."""
    yield from HEADER
    gone: set[str] = set()
    for step, (states, flying) in enumerate(zip(recording.steps, recording.flying, strict=True)):
        yield f"#{step * STEP_SECONDS:.2f}"
        for (name, side), state, flies in zip(recording.sides.items(), states, flying, strict=True):
            if flies:
                yield f"{name},{_place(state)}" + (f",Type=Air+FixedWing,Name=F-16,Color={side}" if step == 0 else "")
            elif name not in gone:
                gone.add(name)
                yield f"0,Event=Destroyed|{name}|"
                yield f"-{name}"


def _place(state: AircraftState) -> str:
    """Longitude, latitude, altitude, roll, pitch, yaw; degrees and metres."""
    angles = "|".join(f"{math.degrees(angle):.2f}" for angle in (state.roll, state.pitch, state.heading))
    return f"T={state.longitude:.7f}|{state.latitude:.7f}|{state.altitude:.2f}|{angles}"
