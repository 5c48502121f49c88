"""Environments in processes of their own, with an error that says which one died."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.vec_env import SubprocVecEnv

from masoft.errors import EnvironmentFault, explain

_BROKEN = (EOFError, ConnectionError, BrokenPipeError)


class TeamSubprocVecEnv(SubprocVecEnv):
    """stable-baselines3's SubprocVecEnv; a worker that dies ends the others and raises an `EnvironmentFault`."""

    def __init__(self, env_fns: list[Any], start_method: str | None = None) -> None:
        try:
            super().__init__(env_fns, start_method)
        except _BROKEN as error:
            raise self._fault("while the environments were built") from error

    def step_async(self, actions: Any) -> None:
        """Send the actions."""
        try:
            super().step_async(actions)
        except _BROKEN as error:
            raise self._fault("at a step") from error

    def step_wait(self) -> Any:
        """Collect what the workers answer."""
        try:
            return super().step_wait()
        except _BROKEN as error:
            raise self._fault("at a step") from error

    def reset(self) -> Any:
        """Start an episode in each worker."""
        try:
            return super().reset()
        except _BROKEN as error:
            raise self._fault("at a reset") from error

    def _fault(self, when: str) -> EnvironmentFault:
        """End all workers and say which one was dead."""
        for process in self.processes:
            process.join(timeout=0.2)
        dead = {rank: p.exitcode for rank, p in enumerate(self.processes) if not p.is_alive()}
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        for remote in self.remotes:
            remote.close()
        self.waiting, self.closed = False, True
        return EnvironmentFault(
            explain(f"The environment workers {when}", "alive", f"exit codes by worker: {dead}",
                    "The worker printed its own error above; backend='dummy' shows it in this process.")
        )  # fmt: skip
