"""Environments in processes of their own, which may die, hang or raise without taking the run with them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.util import Finalize
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from masoft.envs.alike import check_alike
from masoft.envs.reach import class_name
from masoft.envs.worker import Builder, Launcher, Worker
from masoft.envs.worker_process import packed, serve
from masoft.errors import ConfigurationError, MasoftError, explain


def _context() -> BaseContext:
    """How processes are started: by a server that has imported what all of them need, where there can be one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "masoft.envs.worker_preload"])
    return context


def launch_process(rank: int, builder: Builder) -> tuple[Any, Any]:
    """A process of this machine that builds an environment, and the pipe to it."""
    context = _context()
    pipe, remote = context.Pipe()
    arguments = (remote, pipe, packed(builder))
    # A daemon ends with the learner, whatever ends that.
    process = context.Process(target=serve, args=arguments, daemon=True)  # type: ignore[attr-defined]
    process.start()
    remote.close()
    return pipe, process


class TeamSubprocVecEnv(SubprocVecEnv):
    """stable-baselines3's SubprocVecEnv, with workers that are watched and, on request, replaced.

    With ``on_env_error="raise"`` the first fault ends all workers and raises. With ``"restart"`` the worker's process
    is replaced; the step at which it broke comes back as done and truncated, with reward 0, the last observation that
    was seen as the terminal one, and the reason in ``info["env_restart"]``. What ``set_attr`` had changed is lost.

    Args:
        builders: make the environments, each in its process.
        on_env_error: ``"raise"`` or ``"restart"``.
        env_timeout: seconds for one answer of a worker; None: as long as it takes.
        launch: starts a worker: a process here, or a Ray actor (`masoft.envs.ray_worker.RayLauncher`).

    Raises:
        EnvironmentFault: an environment cannot be built.
    """

    def __init__(
        self,
        builders: Sequence[Builder],
        *,
        on_env_error: str = "raise",
        env_timeout: float | None = None,
        launch: Launcher = launch_process,
    ) -> None:
        self.waiting, self.closed = False, False
        self.remotes: list[Worker] = []
        # Before multiprocessing ends its daemons by a signal, which they ignore, and waits for them; also where the
        # VecEnv is forgotten without being closed.
        self._finalizer = Finalize(self, _end, (self.remotes, launch), exitpriority=10)
        with self._closed_by_faults():
            for rank, builder in enumerate(builders):
                self.remotes.append(Worker(launch, rank, builder, on_env_error, env_timeout))
            ready = [worker.await_ready() for worker in self.remotes]
            check_alike([about.team for about in ready])
            if launch is launch_process:
                for worker in self.remotes:
                    worker.share()
        self.team = ready[0].team
        VecEnv.__init__(self, len(builders), ready[0].observation_space, ready[0].action_space)

    @property
    def n_restarts(self) -> list[int]:
        """How often each environment was started again."""
        return [worker.n_restarts for worker in self.remotes]

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """Call a method of each environment: of a wrapper, of the team, or of the PettingZoo environment inside.

        Raises:
            EnvironmentFault: it raised, or there is no such method; the environments are there as before.
            ConfigurationError: an argument cannot be sent to another process.
        """
        with _sendable(f"The arguments of {method_name!r}", (method_args, method_kwargs)):
            return super().env_method(method_name, *method_args, indices=indices, **method_kwargs)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Whether each environment is inside a wrapper of a class; the workers need not import it."""
        name: Any = class_name(wrapper_class)
        return super().env_is_wrapped(name, indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute where it is: on a wrapper, on the team, or on the PettingZoo environment inside.

        Raises:
            ConfigurationError: the value cannot be sent to another process.
        """
        with _sendable(f"The value of {attr_name!r}", value):
            super().set_attr(attr_name, value, indices)

    def step_wait(self) -> Any:
        """Collect what the workers answer."""
        with self._closed_by_faults():
            return super().step_wait()

    def reset(self) -> Any:
        """Start an episode in each worker; a step that was not collected is forgotten."""
        with self._closed_by_faults():
            self.waiting = False
            return super().reset()

    def close(self) -> None:
        """End all workers, also those that hang or are in the middle of a step."""
        if self.closed:
            return
        self.closed, self.waiting = True, False
        self._finalizer()

    @contextmanager
    def _closed_by_faults(self) -> Iterator[None]:
        try:
            yield
        except MasoftError:
            self.close()
            raise


def _end(workers: Sequence[Worker], launch: Any) -> None:
    """End all workers, and give back what the launcher holds for them."""
    Worker.end(workers)
    if hasattr(launch, "release"):
        launch.release()


@contextmanager
def _sendable(which: str, value: object) -> Iterator[None]:
    try:
        yield
    except MasoftError:
        raise
    except Exception as error:  # what pickle raises depends on the class of what it cannot take
        must = "such that pickle can send them to a worker process"
        raise ConfigurationError(explain(which, must, value, f"It says: {error}.")) from error
