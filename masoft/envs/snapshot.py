"""The state of running environments as plain values, so that a resumed run goes on in the middle of an episode.

An environment of your own takes part if its innermost class has the two methods of `Snapshot`. masoft's own games, the
particle environments and MuJoCo robots take part already. Where one environment of a run does not, its episodes start
anew after a resume; everything that the learner holds is exact all the same.
"""

from __future__ import annotations

from typing import Any, Protocol

from masoft.envs.simulators import restore_simulator, simulator_values


class Snapshot(Protocol):
    """What an environment offers that can be stopped and continued elsewhere."""

    def get_snapshot(self) -> Any:
        """Everything that decides how the episode and those after it go on, generators included.

        Numbers, strings, None and numpy arrays, in lists, tuples and dicts; or None: it cannot be given.
        """
        ...

    def set_snapshot(self, values: Any) -> None:
        """Continue from there; called after a reset of an environment that was made alike."""
        ...


def offers_snapshot(layer: object) -> bool:
    """Whether a class has the methods itself: wrappers that pass on attributes may keep a history of their own."""
    return hasattr(type(layer), "get_snapshot") and hasattr(type(layer), "set_snapshot")


def environment_values(env: Any) -> Any:
    """A PettingZoo environment's snapshot, through wrappers that keep no history; None where it has none."""
    layer = env
    while True:
        if offers_snapshot(layer):
            return layer.get_snapshot()
        inner = getattr(layer, "aec_env", None) or getattr(layer, "env", None)
        if inner is None or not type(layer).__module__.startswith("pettingzoo."):
            return simulator_values(layer)
        layer = inner


def restore_environment(env: Any, values: Any) -> None:
    """Continue a PettingZoo environment from `environment_values`."""
    layer = env
    while not offers_snapshot(layer):
        inner = getattr(layer, "aec_env", None) or getattr(layer, "env", None)
        if inner is None or not type(layer).__module__.startswith("pettingzoo."):
            restore_simulator(layer, values)
            return
        layer = inner
    layer.set_snapshot(values)
