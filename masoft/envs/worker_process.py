"""What runs in the process of one environment: builds it, and does what the learner asks."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import gymnasium
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.base_vec_env import CloudpickleWrapper

from masoft.envs.reach import get_inside, set_inside
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


def serve(remote: Connection, parent_remote: Connection, builder: CloudpickleWrapper) -> None:
    """Build an environment and do what the learner asks until it closes the pipe; runs in the worker process.

    Ctrl-C in a terminal and a scheduler's SIGTERM reach every process; the learner decides what they mean, so they are
    ignored here. The process ends with its pipe, and with the learner, also in the middle of a step.
    """
    parent_remote.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)
    threading.Thread(target=_end_with_learner, daemon=True).start()
    env: Any = None
    try:
        env, answer = _build(builder)
        _send(remote, answer)
        while env is not None:
            command, data = remote.recv()
            if command == "close":
                break
            _send(remote, _answer(env, command, data))
    except (EOFError, OSError, _Over):
        pass  # the learner is gone, or has been told what is wrong
    finally:
        with contextlib.suppress(Exception):
            env.close()
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


class Hosted:
    """An environment that is called instead of asked through a pipe, with the same questions and answers.

    Args:
        builder: makes the environment.
    """

    def __init__(self, builder: CloudpickleWrapper) -> None:
        self._builder = builder
        self._env: Any = None

    def build(self) -> Ready | Failure:
        """Build it."""
        self._env, answer = _build(self._builder)
        return answer

    def answer(self, command: str, data: Any) -> Any:
        """Do what the learner asks, or a `Failure`."""
        if command == "close":
            return self._env.close()
        return _answer(self._env, command, data)


class _Over(Exception):
    """The environment is in no state to go on."""


def _build(builder: CloudpickleWrapper) -> tuple[Any, Ready | Failure]:
    try:
        env = builder.var()
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
    "is_wrapped": is_wrapped,
}
"""The messages of stable-baselines3's SubprocVecEnv."""
