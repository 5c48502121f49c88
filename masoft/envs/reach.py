"""From a team to the environment inside it: methods and attributes by name, and who else moves it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import gymnasium

from masoft.errors import nearest

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")

INNER = ("env", "aec_env", "par_env")
"""Where PettingZoo, supersuit and gymnasium keep what they wrap."""


class Moves:
    """How often a simulator was stepped, reset or looked at anew; shared by all teams around the same one."""

    def __init__(self) -> None:
        self.count = 0


_MOVES: WeakKeyDictionary[Any, Moves] = WeakKeyDictionary()


def moves_of(env: Any) -> Moves:
    """The counter of the simulator inside an environment, for a new team around it, which may reset it to look."""
    moves = Moves()
    with contextlib.suppress(TypeError):  # no weak references, or no hash: nobody else can be noticed
        moves = _MOVES.setdefault(simulator_of(env), moves)
    moves.count += 1
    return moves


def layers_of(env: Any) -> Iterator[Any]:
    """An environment and what it wraps, from outside to inside."""
    seen: list[Any] = []
    while env is not None and not any(env is layer for layer in seen):
        seen.append(env)
        yield env
        kept = getattr(env, "__dict__", {})
        env = next((kept[name] for name in INNER if name in kept), None)


def simulator_of(env: Any) -> Any:
    """The innermost environment that a user wrote: PettingZoo's ``unwrapped``, or gymnasium's in a team of one."""
    inner = getattr(env, "unwrapped", env)
    single = getattr(inner, "env", None)
    return single.unwrapped if isinstance(single, gymnasium.Env) else inner


def owns(layer: Any, name: str) -> bool:
    """Whether a layer has an attribute itself; many pass on those of what they wrap."""
    return name in getattr(layer, "__dict__", {}) or hasattr(type(layer), name)


def class_name(kind: type) -> str:
    """A class by name, ``module:Class``, for a process that need not import it."""
    return f"{kind.__module__}:{kind.__qualname__}"


def wraps(env: Any, kind: str) -> bool:
    """Whether one of the gymnasium wrappers around an environment is of a class, see `class_name`, or of a subclass."""
    while isinstance(env, gymnasium.Wrapper):
        if kind in map(class_name, type(env).__mro__):
            return True
        env = env.env
    return False


def get_inside(env: gymnasium.Env[Any, Any], name: str) -> Any:
    """An attribute or method of the outermost wrapper that has it, of the team, or of the environment inside.

    Raises:
        AttributeError: nobody has it; the message has the nearest names.
    """
    while isinstance(env, gymnasium.Wrapper) and not hasattr(env, name):
        env = env.env
    return getattr(env, name) if isinstance(env, gymnasium.Wrapper) else env.get_wrapper_attr(name)


def set_inside(env: gymnasium.Env[Any, Any], name: str, value: Any) -> None:
    """Set an attribute where it is, from the outermost wrapper inwards; a new one is set on the simulator."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        if owns(layer, name):
            setattr(layer, name, value)
            return
        layer = layer.env
    layer.set_wrapper_attr(name, value)


class ReachesInside(gymnasium.Env[ObsType, ActType]):
    """Abstract: passes questions about methods and attributes on to the environment inside, as wrappers do."""

    parallel_env: Any

    def has_wrapper_attr(self, name: str) -> bool:
        """Whether the team, or an environment inside it, has the attribute."""
        return any(hasattr(layer, name) for layer in self._layers(name))

    def get_wrapper_attr(self, name: str) -> Any:
        """An attribute of the team or, where it has none of that name, of an environment inside it.

        Raises:
            AttributeError: nobody has it.
        """
        for layer in self._layers(name):
            if hasattr(layer, name):
                return getattr(layer, name)
        layers = [type(layer).__name__ for layer in self._layers(name)]
        known = {each for each in dir(simulator_of(self.parallel_env)) if not each.startswith("_")}
        raise AttributeError(f"None of {', '.join(layers)} has an attribute {name!r}. {nearest(name, known)}")

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """Set an attribute where it is; one that is nowhere is set on the simulator, if ``force``."""
        owner = next((layer for layer in self._layers(name) if owns(layer, name)), None)
        if owner is None and not force:
            return False
        setattr(simulator_of(self.parallel_env) if owner is None else owner, name, value)
        return True

    def _layers(self, name: str) -> Iterator[Any]:
        """Where to look, outermost first; what is private here is no concern of those outside."""
        if not name.startswith("_") or name.startswith("__"):
            yield self
        yield from layers_of(self.parallel_env)
