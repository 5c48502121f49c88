"""Environments in Ray actors, on this machine or on others, in the place of local worker processes."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections import deque
from typing import Any

from stable_baselines3.common.vec_env.base_vec_env import CloudpickleWrapper

from masoft.envs.worker import Builder
from masoft.envs.worker_process import Hosted
from masoft.errors import MissingDependencyError, explain

NOTICE_SECONDS = 30.0
"""How long an environment waits for a CPU of the cluster before that is said."""


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
        self._has_started = False

    def send(self, message: tuple[str, Any]) -> None:
        """Ask; returns at once."""
        self._answers.append(self._actor.answer.remote(*message))

    def poll(self, timeout: float | None) -> bool:
        """Whether the next answer is there within so many seconds; None waits as long as it takes.

        The first answer needs a CPU of the cluster: where none comes free, that is said after `NOTICE_SECONDS`.
        """
        if not self._has_started and (timeout is None or timeout > NOTICE_SECONDS):
            if self._wait(NOTICE_SECONDS):
                return True
            self._has_started = True  # said once
            timeout = None if timeout is None else timeout - NOTICE_SECONDS
            self._say_what_is_missing()
        return self._wait(timeout)

    def _wait(self, timeout: float | None) -> bool:
        return bool(self._ray.wait([self._answers[0]], timeout=timeout)[0])

    def _say_what_is_missing(self) -> None:
        free, total = self._ray.available_resources().get("CPU", 0), self._ray.cluster_resources().get("CPU", 0)
        if free < 1:
            warnings.warn(
                f"An environment waits for a CPU of Ray: each takes one, all {total:g} of the cluster are taken, and "
                f"none came free in {NOTICE_SECONDS:g} s. Lower n_envs, close environments that are not used, add "
                "machines, or start Ray with more: ray.init(num_cpus=...). It goes on waiting.",
                UserWarning,
                stacklevel=2,
            )

    def recv(self) -> Any:
        """The next answer.

        Raises:
            EOFError: the actor, or its machine, is gone.
        """
        try:
            self.poll(None)
            answer = self._ray.get(self._answers[0])
        except self._ray.exceptions.RayError as error:
            self._answers.popleft()
            raise EOFError(str(error)) from error
        self._answers.popleft()  # not before: Ctrl-C may come while it waits
        self._has_started = True
        return answer

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
