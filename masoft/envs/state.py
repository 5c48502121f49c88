"""Where the global state of a team comes from: the environment, a function, or the observations in a row."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from masoft.envs.reading import NUMBERS, Reader, Where, is_byte_picture, read_space
from masoft.errors import ConfigurationError, SpaceError, explain
from masoft.spec import STATE

State: TypeAlias = str | Callable[[Any], Any]
"""``"env"``, ``"observations"``, ``"both"``, or a function of the PettingZoo environment."""

OBSERVATIONS = "the observations in a row"


@dataclass(frozen=True)
class StateSource:
    """How a team's state is asked for.

    Args:
        size: number of entries; 0: the observations in a row stand in.
        how: in words, for reports.
        ask: gives the state as the environment has it.
        reader: how that becomes numbers, where its space is declared and is more than a Box of floats.
        and_observations: whether critics see the observations behind it.
    """

    size: int = 0
    how: str = OBSERVATIONS
    ask: Callable[[], Any] | None = None
    reader: Reader | None = None
    and_observations: bool = False

    def read(self, where: Where) -> Any:
        """The state now, an array or what should be one; the caller flattens and checks it."""
        assert self.ask is not None
        state = self.ask()
        return state if self.reader is None else self.reader.read(state, "The state", where)


def choose_state(env: Any, chosen: State, declared: dict[str, Any], after_reset: Callable[[], Any]) -> StateSource:
    """The source that somebody chose, or the observations, which is said, where the environment has none of use.

    Args:
        env: the PettingZoo environment.
        chosen: see `State`.
        declared: the environment's metadata.
        after_reset: makes sure that the environment has been reset.

    Raises:
        ConfigurationError: another choice, or a function that gives no numbers.
    """
    if chosen == "env":
        chosen = declared.get("state", "env")
    if callable(chosen):
        return _of_function(env, chosen, after_reset)
    if chosen not in ("env", "observations", "both"):
        must = "'env', 'observations', 'both' or a function of the environment"
        raise ConfigurationError(explain("state", must, chosen))
    if chosen == "observations" or declared.get("state_is_observations"):
        return StateSource()
    source = _of_environment(env, after_reset)
    return replace(source, and_observations=True) if chosen == "both" and source.size else source


def _of_function(env: Any, function: Callable[[Any], Any], after_reset: Callable[[], Any]) -> StateSource:
    after_reset()
    try:
        state = function(env)
    except Exception as error:
        must = "a function of the PettingZoo environment that gives its state after a reset"
        raise ConfigurationError(explain("state", must, error)) from error
    if _unusable(state) or not np.size(state):
        raise ConfigurationError(explain("state", "a function that gives an array of numbers", state))
    return StateSource(int(np.size(state)), "your function", lambda: function(env))


def _of_environment(env: Any, after_reset: Callable[[], Any]) -> StateSource:
    declared = _declared_space(env)
    ask = _offered(env)
    if ask is None:  # some set an attribute in reset
        after_reset()
        ask = _offered(env)
    if ask is None:
        if declared is not None:
            return _stand_in(env, "declares a state_space, and has no state()")
        return StateSource()
    if declared is not None and ask.declares:
        return _of_space(env, declared, ask.function)
    after_reset()
    try:
        state = ask.function()
    except NotImplementedError:
        return StateSource()
    except Exception as error:
        return _stand_in(env, f"has a state() that raises {error!r}")
    if state is None and not ask.declares:  # a plain attribute that is not used
        return StateSource()
    reason = _unusable(state)
    if reason:
        return _stand_in(env, f"has a state that is {reason}")
    if not np.size(state):
        return StateSource()
    return StateSource(int(np.size(state)), "state()" if ask.declares else "the attribute state", ask.function)


def _of_space(env: Any, space: Any, ask: Callable[[], Any]) -> StateSource:
    """By the declared space, so that no reset is needed."""
    if isinstance(space, spaces.Box) and is_byte_picture_state(space):
        return _stand_in(env, f"has a picture of {np.prod(space.shape)} bytes as its state, too much for a critic")
    try:
        reader = read_space("state_space", space)
    except SpaceError:
        return _stand_in(env, f"declares the state_space {space}")
    is_plain = isinstance(space, spaces.Box) and space.dtype != np.uint8
    size = int(np.prod(reader.box.shape))
    return StateSource(size, "state()", ask, None if is_plain else reader)


def is_byte_picture_state(space: spaces.Box) -> bool:
    """Whether a state is a picture of bytes."""
    return space.dtype == np.uint8 and is_byte_picture(space)


@dataclass(frozen=True)
class _Offer:
    """How a state is asked for, and whether by the method that PettingZoo knows."""

    function: Callable[[], Any]
    declares: bool


def _offered(env: Any) -> _Offer | None:
    """The way to an environment's state: its method, also through wrappers, or plain data in an attribute."""
    inner = getattr(env, "unwrapped", env)
    passes_on = _is_of_library(type(env))
    if env is not inner and not passes_on and callable(getattr(type(env), "state", None)):
        return _Offer(env.state, True)
    own = vars(inner).get("state") if hasattr(inner, "__dict__") else None
    static = inspect.getattr_static(type(inner), "state", None)
    if callable(own) or (own is None and callable(static)):
        if own is None and _is_base_method(static):
            return None
        return _Offer(env.state if callable(getattr(env, "state", None)) else own or inner.state, True)
    if own is None and static is None and "state" not in getattr(inner, "__dict__", {}):
        return None
    return _Offer(lambda: getattr(inner, "state", None), False)


def _is_of_library(kind: type) -> bool:
    """Whether a class is one of the wrappers that pass ``state()`` on."""
    return kind.__module__.partition(".")[0] in ("pettingzoo", "supersuit")


def _is_base_method(method: Any) -> bool:
    """Whether this is the ``state`` of PettingZoo's base classes, which only raises."""
    return getattr(method, "__module__", "") == "pettingzoo.utils.env"


def _declared_space(env: Any) -> Any:
    for layer in (env, getattr(env, "unwrapped", env)):
        try:
            space = layer.state_space
        except Exception:
            continue
        if isinstance(space, spaces.Space):
            return space
    return None


def _unusable(state: Any) -> str:
    """What a state is that is no array of numbers; empty where it is one."""
    if state is None or isinstance(state, Mapping | str | bytes):
        return "None" if state is None else f"of type {type(state).__name__}"
    try:
        array = np.asarray(state)
    except (TypeError, ValueError, RuntimeError):
        return "a list of parts of different lengths"
    if array.dtype.kind not in NUMBERS:
        return f"an array of {array.dtype}"
    if array.dtype == np.uint8 and array.ndim == 3 and array.size > 10_000:
        return f"a picture of {array.size} bytes, too much for a critic"
    return ""


def _stand_in(env: Any, reason: str) -> StateSource:
    """The observations instead, which is said."""
    name = (getattr(env, "metadata", None) or {}).get("name", type(env).__name__)
    warnings.warn(
        f"{name} {reason}; the observations in a row stand in for the state. Say so with state='observations', or "
        "give a function of the environment, TeamEnv(env, state=lambda env: ...).",
        UserWarning,
        stacklevel=2,
    )
    return StateSource()


def last_state(
    before: Mapping[str, Any] | None, now: Mapping[str, Any], names: Sequence[str]
) -> tuple[NDArray[np.float32], bool]:
    """A state for the observation that ends an episode, where the environment has none any more.

    Args:
        before: the joint observation one step ago; None: there was none.
        now: the joint observation, its state zeros.
        names: the agents.

    Returns:
        The state (size,), and whether it is exact: it is where the state was the observations in a row one step ago.
    """
    if before is None:
        return now[STATE], False
    known, in_a_row = (
        np.concatenate([np.asarray(seen[name], np.float32).reshape(-1) for name in names]) for seen in (before, now)
    )
    if np.array_equal(known, before[STATE]):
        return in_a_row, True
    return before[STATE].copy(), False
