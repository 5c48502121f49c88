"""What runs in the process of environments: builds them, and does what the learner asks.

Such a process needs neither torch nor most of stable-baselines3, which take seconds and some 170 MB; see `unpacked`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium
from gymnasium.vector.utils import CloudpickleWrapper

from masoft.envs.reach import get_inside, set_inside, wraps
from masoft.envs.shared import InSharedMemory, SharedObservation
from masoft.envs.through import team_inside
from masoft.errors import ConfigurationError, MasoftError, MissingDependencyError, SpaceError
from masoft.spec import TeamSpec

ORPHAN_SECONDS = 5.0
"""What a process may take to end by itself once the learner is gone."""
EPISODE = ("step", "reset")
"""Commands whose failure leaves an environment in an unknown state."""


@dataclass(frozen=True)
class Ready:
    """What a worker says once its environment is built.

    Args:
        observation_space, action_space: the joint ones.
        name: the environment's own name.
        team: the team, as the outermost wrapper shows it.
    """

    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    name: str
    team: TeamSpec


@dataclass(frozen=True)
class Failure:
    """What a worker says instead of an answer.

    Args:
        error: class and message of what was raised.
        trace: where.
        is_last: whether the worker ends with it.
        kind: the class, where it is one of masoft's that speak of what the caller asked for.
    """

    error: str
    trace: str
    is_last: bool
    kind: type[MasoftError] | None = None


def packed(builder: Callable[[], Any]) -> bytes:
    """What makes an environment, as it is sent; functions of a user's own go by value."""
    wrapper: Any = CloudpickleWrapper(builder)
    data: bytes = wrapper.__getstate__()
    return data


def unpacked(data: bytes) -> Callable[[], Any]:
    """What makes an environment, read without importing more than it needs."""
    load_monitor_alone()
    wrapper: Any = CloudpickleWrapper(gymnasium.Env)
    wrapper.__setstate__(data)
    builder: Callable[[], Any] = wrapper.fn
    return builder


def load_monitor_alone() -> None:
    """Import stable-baselines3's Monitor, a file that needs nothing of the rest, without the package, which has torch.

    Whoever imports the package later finds this very module in it.
    """
    name = "stable_baselines3.common.monitor"
    package = importlib.util.find_spec("stable_baselines3")
    if "stable_baselines3" in sys.modules or name in sys.modules or package is None or package.origin is None:
        return
    spec = importlib.util.spec_from_file_location(name, Path(package.origin).with_name("common") / "monitor.py")
    if spec is None or spec.loader is None:
        return
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError):  # another version, in which it needs the rest
        del sys.modules[name]


def serve(remote: Connection, parent_remote: Connection, builder: bytes) -> None:
    """Build an environment and do what the learner asks until it closes the pipe; runs in the worker process.

    Ctrl-C in a terminal and a scheduler's SIGTERM reach every process; the learner decides what they mean, so they are
    ignored here. The process ends with its pipe, and with the learner, also in the middle of a step.
    """
    parent_remote.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)
    threading.Thread(target=_end_with_learner, daemon=True).start()
    env: Any = None
    answer: Any
    shared: SharedObservation | None = None
    try:
        env, answer = _build(builder)
        _send(remote, answer)
        while env is not None:
            command, data = remote.recv()
            if command == "close":
                break
            if command == "share":
                shared = SharedObservation(env.observation_space, data)
                _send(remote, None)
                continue
            answer = _answer(env, command, data)
            if shared is not None and command in EPISODE and not isinstance(answer, Failure):
                answer = (InSharedMemory(), *answer[1:]) if shared.write(answer[0]) else answer
            _send(remote, answer)
    except (EOFError, OSError, _Over):
        pass  # the learner is gone, or has been told what is wrong
    finally:
        with contextlib.suppress(Exception):
            env.close()
        if shared is not None:
            shared.close()
        remote.close()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, it is not inherited by programs that a simulator starts and has to stop."""


def _end_with_learner() -> None:
    """End a process that is left alone; what it is in the middle of has a moment to finish."""
    learner = multiprocessing.parent_process()
    assert learner is not None
    learner.join()
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


Question = tuple[int, str, Any]
"""Number of the environment, command, and what belongs to it."""


class Hosted:
    """Environments that are called instead of asked through pipes, with the same questions and answers."""

    def __init__(self) -> None:
        self._envs: dict[int, Any] = {}

    def answer(self, questions: Sequence[Question]) -> list[Any]:
        """Do what the learner asks, one after the other; a `Failure` where that went wrong."""
        return [self._answer(*question) for question in questions]

    def _answer(self, which: int, command: str, data: Any) -> Any:
        if command in ("build", "close"):
            with contextlib.suppress(Exception):
                self._envs.pop(which).close()
        if command == "build":
            self._envs[which], answer = _build(data)
            return answer
        return None if command == "close" else _answer(self._envs[which], command, data)


class _Over(Exception):
    """The environment is in no state to go on."""


def _build(builder: bytes) -> tuple[Any, Ready | Failure]:
    try:
        env = unpacked(builder)()
        name = str((env.metadata or {}).get("name", type(env.unwrapped).__name__))
        team = team_inside(env)
        assert team is not None
        return env, Ready(env.observation_space, env.action_space, name, team)
    except BaseException as error:
        return None, _failure(error)


def _answer(env: Any, command: str, data: Any) -> Any:
    try:
        return _COMMANDS[command](env, data)
    except BaseException as error:
        return _failure(error, is_last=command in EPISODE)


def _send(remote: Connection, answer: Any) -> None:
    try:
        remote.send(answer)
    except OSError:
        raise  # the learner is gone
    except Exception as error:  # what was given back cannot be sent; what that raises depends on its class
        remote.send(_failure(error, is_last=True))
        raise _Over from error
    if isinstance(answer, Failure) and answer.is_last:
        raise _Over


def _failure(error: BaseException, *, is_last: bool = True) -> Failure:
    kind = type(error) if isinstance(error, ConfigurationError | SpaceError | MissingDependencyError) else None
    return Failure(f"{type(error).__name__}: {error}", traceback.format_exc(), is_last, kind)


def _step(env: Any, action: Any) -> tuple[Any, ...]:
    observation, reward, terminated, truncated, info = env.step(action)
    done = terminated or truncated
    info["TimeLimit.truncated"] = truncated and not terminated
    reset_info: dict[str, Any] = {}
    if done:
        info["terminal_observation"] = observation
        observation, reset_info = env.reset()
    return observation, reward, done, info, reset_info


def _reset(env: Any, data: Any) -> Any:
    seed, options = data
    return env.reset(seed=seed, options=options or None)


def _has_attr(env: Any, name: str) -> bool:
    try:
        get_inside(env, name)
    except AttributeError:
        return False
    return True


_COMMANDS: dict[str, Callable[[Any, Any], Any]] = {
    "step": _step,
    "reset": _reset,
    "render": lambda env, data: env.render(),
    "env_method": lambda env, data: get_inside(env, data[0])(*data[1], **data[2]),
    "get_attr": get_inside,
    "has_attr": _has_attr,
    "set_attr": lambda env, data: set_inside(env, *data),
    "is_wrapped": wraps,
}
"""The messages of stable-baselines3's SubprocVecEnv."""
