"""The learner's handle on an environment in a process of its own: sees it die, hang or raise, and may replace it."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import gymnasium
import numpy as np

from masoft.envs.shared import PAYS_FROM, InSharedMemory, SharedObservation, size_of
from masoft.envs.worker_process import EPISODE, Failure, Ready
from masoft.errors import EnvironmentFault, explain

ON_ENV_ERROR = ("raise", "restart")
BUILD_SECONDS = 120.0
"""What building may take beyond the timeout: imports, and engines that compile."""
CLOSE_SECONDS = 5.0
"""What an environment may take to close before its process is killed."""
KILL_SECONDS = 30.0
"""What the system may take to end a killed process, on a machine with too much to do."""
MOST_IN_A_ROW = 3
"""Restarts of one environment without a completed step between them; then it is beyond repair."""

_BROKEN = (EOFError, OSError)


class Builder(Protocol):
    """Makes an environment, in a worker process."""

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """The environment."""
        ...

    def again(self) -> Builder:
        """What makes the one that replaces it."""
        ...


Launcher: TypeAlias = Callable[[int, Builder], tuple[Any, Any]]
"""Starts the process of an environment, given its number; what it gives does what a pipe and a process do."""


class WorkerTraceback(Exception):
    """The traceback of a worker process, shown as the cause of the fault on this side."""


class Worker:
    """A worker process as the learner sees it, in the place of a pipe's end in stable-baselines3's SubprocVecEnv.

    Args:
        launch: starts the process.
        rank: number of the environment.
        builder: makes the environment.
        on_error: ``"raise"`` an `EnvironmentFault`, or ``"restart"``: kill the process, build a new one, and report
            the broken episode as truncated at the last observation that was seen, with reward 0 for the lost step.
        timeout: seconds for one answer; None: as long as it takes.

    Attributes:
        n_restarts: how often it was started again.
    """

    def __init__(
        self, launch: Launcher, rank: int, builder: Builder, on_error: str = "raise", timeout: float | None = None
    ) -> None:
        self.rank, self.n_restarts = rank, 0
        self._launch, self._builder, self._on_error, self._timeout = launch, builder, on_error, timeout
        self._message: tuple[str, Any] = ("build", None)
        self._is_pending = False
        self._seed: int | None = None
        self._in_a_row = self._episode = self._elapsed = 0
        self._last: Any = None
        self._unseen: tuple[Any, Any] | None = None  # a new process's first observation, not reported yet
        self._shared: SharedObservation | None = None
        self._start()

    def await_ready(self) -> Ready:
        """Wait until the environment is built.

        Raises:
            EnvironmentFault: it cannot be.
        """
        about = self._receive()
        assert isinstance(about, Ready)
        self._about = about
        if self._shared is not None:
            self._introduce(self._shared)
        return about

    def share(self) -> None:
        """Let observations come through memory that both processes see, where they are large enough for that to pay."""
        if size_of(self._about.observation_space) >= PAYS_FROM:
            self._shared = SharedObservation(self._about.observation_space)
            self._introduce(self._shared)

    def _introduce(self, shared: SharedObservation) -> None:
        self._ask(("share", shared.name))
        self._receive()

    def send(self, message: tuple[str, Any]) -> None:
        """Ask for something; `recv` gives the answer, or says that there is none."""
        self._drain()
        self._message = message
        if message[0] == "reset":
            self._seed = self._seed if message[1][0] is None else message[1][0]
            self._unseen = None
        if message[0] == "step" and self._unseen is not None:
            return
        self._ask(message)

    def recv(self) -> Any:
        """The answer to what was asked.

        Raises:
            EnvironmentFault: the process died, hangs or raised, and is not to be started again.
        """
        command = self._message[0]
        if command == "step" and self._unseen is not None:
            answer: Any = self._cut(*self._unseen, "It had died between two steps.")
            self._unseen = None
        else:
            try:
                answer = self._receive()
            except EnvironmentFault as fault:
                answer = self._repair(fault)
            else:
                self._in_a_row = 0 if command == "step" else self._in_a_row
        if command in EPISODE:
            is_new = command == "reset" or answer[2]
            self._episode, self._elapsed = self._episode + int(is_new), 0 if is_new else self._elapsed + 1
            self._last = answer[0]
        return answer

    def close(self) -> None:
        """Ask the process to end; its pipe is closed."""
        with contextlib.suppress(OSError):
            self._pipe.send(("close", None))
        self._pipe.close()

    def join(self, until: float | None = None) -> None:
        """Wait for the process to end after `close`, and kill it if it does not.

        Args:
            until: of the monotonic clock; None: `CLOSE_SECONDS` from now.
        """
        self.process.join(CLOSE_SECONDS if until is None else max(until - time.monotonic(), 0.0))
        if self.process.is_alive():
            self.process.kill()
            self.process.join(KILL_SECONDS)
        with contextlib.suppress(ValueError):  # not even a kill ended it
            self.process.close()

    def forget(self) -> None:
        """Remove the memory that was shared, once the process has ended."""
        if self._shared is not None:
            self._shared.close(and_remove=True)
            self._shared = None

    @staticmethod
    def end(workers: Sequence[Worker]) -> None:
        """Close all, and wait for all at once."""
        for worker in workers:
            worker.close()
        until = time.monotonic() + CLOSE_SECONDS
        for worker in workers:
            worker.join(until)
            worker.forget()

    def _ask(self, message: tuple[str, Any]) -> None:
        self._deadline = self._from_now()
        with contextlib.suppress(OSError):  # the process is dead, as recv will find
            self._pipe.send(message)
            self._is_pending = True

    def _drain(self) -> None:
        """Take in an answer that nobody fetched, since an error or Ctrl-C came between; else all later ones shift."""
        if not self._is_pending:
            return
        self._deadline = self._from_now()
        with contextlib.suppress(EnvironmentFault):  # it was the answer to what nobody asks any more
            self._receive()
        if self._is_pending:  # it has none; recv will find it dead
            self.process.kill()
            self._is_pending = False

    def _start(self) -> None:
        self._pipe, self.process = self._launch(self.rank, self._builder)
        self._is_pending = True
        self._deadline = self._from_now(BUILD_SECONDS)

    def _from_now(self, more: float = 0.0) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout + more

    def _receive(self) -> Any:
        """One message, within the time that there is."""
        try:
            if self._deadline is not None and not self._pipe.poll(max(self._deadline - time.monotonic(), 0.0)):
                raise self._fault(
                    f"answering within {self._timeout} s", "no answer", "Raise env_timeout if it is slow."
                )
            answer = self._pipe.recv()
            self._is_pending = False
        except _BROKEN as error:
            self._is_pending = False
            self.process.join(CLOSE_SECONDS)
            got = f"a worker process that ended with exit code {self.process.exitcode}"
            raise self._fault("alive", got, "A negative code is the signal that killed it.") from error
        if isinstance(answer, Failure):
            if self._message[0] == "build" and answer.kind is not None:
                raise answer.kind(answer.error.partition(": ")[2]) from WorkerTraceback(f"\n{answer.trace}")
            cure = "The traceback above is the worker's."
            raise self._fault("free of errors", answer.error, cure) from WorkerTraceback(f"\n{answer.trace}")
        if self._shared is not None and isinstance(answer, tuple) and answer and isinstance(answer[0], InSharedMemory):
            return (self._shared.read(), *answer[1:])
        return answer

    def _fault(self, must: str, got: str, cure: str) -> EnvironmentFault:
        command = self._message[0]
        if command == "build":
            return EnvironmentFault(explain(f"Environment {self.rank}, while it is built,", must, got, cure))
        when = f"at step {self._elapsed + 1} of its episode {self._episode}" if command == "step" else f"at {command!r}"
        return EnvironmentFault(explain(f"Environment {self.rank} ({self._about.name}) {when}", must, got, cure))

    def _repair(self, fault: EnvironmentFault) -> Any:
        """Start again and answer what was asked, if that is wanted."""
        command = self._message[0]
        is_answer = command not in EPISODE and isinstance(fault.__cause__, WorkerTraceback)
        if self._on_error != "restart" or is_answer:
            raise fault
        if self._in_a_row >= MOST_IN_A_ROW:
            raise EnvironmentFault(f"{fault} It was started again {MOST_IN_A_ROW} times without one step.") from fault
        warnings.warn(f"{fault} It is started again.", UserWarning, stacklevel=5)
        try:
            observation, info = self._restart()
        except EnvironmentFault as next_fault:
            return self._repair(next_fault)
        if command == "reset":
            return observation, info
        if command == "step":
            return self._cut(observation, info, str(fault))
        self._unseen = (observation, info)
        self._ask(self._message)
        return self._receive()

    def _restart(self) -> tuple[Any, dict[str, Any]]:
        """A new process in the place of the old one, and the first observation there."""
        self._in_a_row += 1
        self.n_restarts += 1
        self.close()
        self.join()
        self._builder = self._builder.again()
        self._start()
        self.await_ready()
        seed = None
        if self._seed is not None:  # not the episode again in which it broke
            seed = int(np.random.SeedSequence([self._seed, self.n_restarts]).generate_state(1)[0] >> 1)
        self._ask(("reset", (seed, None)))
        first: tuple[Any, dict[str, Any]] = self._receive()
        return first

    def _cut(self, observation: Any, reset_info: Any, reason: str) -> tuple[Any, ...]:
        """The broken episode as truncated where it was last seen, and the start of the next one."""
        info = {
            "rewards": dict.fromkeys(self._about.team.names, 0.0),
            "TimeLimit.truncated": True,
            "terminal_observation": self._last,
            "env_restart": reason,
        }
        return observation, 0.0, True, info, reset_info
