"""Environments in Ray actors, on this machine or on others, in the place of local worker processes."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections import deque
from typing import Any

from stable_baselines3.common.vec_env.base_vec_env import CloudpickleWrapper

from masoft.envs.worker import Builder
from masoft.envs.worker_process import Hosted
from masoft.errors import MissingDependencyError, explain


class RayLauncher:
    """Starts workers as Ray actors; used by `masoft.envs.subproc.TeamSubprocVecEnv` instead of multiprocessing.

    A cluster that the program has joined (``ray.init(address=...)``) is used as it is; without one, Ray is started on
    this machine and ends with the program. Each environment takes one CPU of Ray's books.

    Raises:
        MissingDependencyError: Ray is not installed.
    """

    def __init__(self) -> None:
        try:
            self._ray = importlib.import_module("ray")
        except ImportError as error:
            raise MissingDependencyError(
                explain("backend='ray'", "used with Ray installed", "no ray", 'pip install "masoft[ray]"')
            ) from error
        if not self._ray.is_initialized():
            # Ray's own advice about accelerators and its dashboard are no concern of someone who asked for rollouts.
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            self._ray.init(include_dashboard=False, log_to_driver=False)

    def __call__(self, builder: Builder) -> tuple[ActorPipe, ActorProcess]:
        """An actor that builds an environment, as the pipe and the process that a worker's handle expects."""
        actor = self._ray.remote(num_cpus=1, max_restarts=0)(Hosted).remote(CloudpickleWrapper(builder))
        pipe = ActorPipe(self._ray, actor)
        return pipe, ActorProcess(pipe)


class ActorPipe:
    """What a local worker's pipe does, through calls of an actor: answers come in the order of the questions."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._answers: deque[Any] = deque([actor.build.remote()])

    def send(self, message: tuple[str, Any]) -> None:
        """Ask; returns at once."""
        self._answers.append(self._actor.answer.remote(*message))

    def poll(self, timeout: float) -> bool:
        """Whether the next answer is there within so many seconds."""
        return bool(self._ray.wait([self._answers[0]], timeout=timeout)[0])

    def recv(self) -> Any:
        """The next answer.

        Raises:
            EOFError: the actor, or its machine, is gone.
        """
        try:
            return self._ray.get(self._answers.popleft())
        except self._ray.exceptions.RayError as error:
            raise EOFError(str(error)) from error

    def close(self) -> None:
        """Give up what has not been answered."""
        self._answers.clear()

    def kill(self) -> None:
        """End the actor now."""
        with contextlib.suppress(Exception):  # it may be dead, and Ray too
            self._ray.kill(self._actor)


class ActorProcess:
    """What a worker's handle asks of a process, for an actor; it is ended when it is joined."""

    exitcode = "unknown: a Ray actor"

    def __init__(self, pipe: ActorPipe) -> None:
        self._pipe = pipe

    def join(self, timeout: float) -> None:
        """End the actor."""
        self._pipe.kill()

    def is_alive(self) -> bool:
        """It has been ended."""
        return False

    def kill(self) -> None:
        """End the actor."""
        self._pipe.kill()

    def close(self) -> None:
        """Nothing is left to release."""
