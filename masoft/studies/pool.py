"""Workers of a study on any of five backends, as slots that break one by one and are put in order one by one."""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from masoft.errors import ConfigurationError, MissingDependencyError, explain, nearest

# Backend -> the module that it needs, and what installs that.
BACKENDS = {
    "loky": ("joblib.externals.loky", "joblib"),
    "threading": ("concurrent.futures", ""),
    "multiprocessing": ("concurrent.futures", ""),
    "dask": ("distributed", '"dask[distributed]"'),
    "ray": ("ray", "ray"),
}
WITH_ADDRESS = ("dask", "ray")
OWN_PROCESSES = ("loky", "multiprocessing")
"""Backends whose workers are children of the process that leads."""
TICK = 0.5
AGAIN = 3.0
"""Seconds between two looks at signals, and at a run that another process is doing."""


@dataclass(frozen=True)
class Lost:
    """What has become of a task whose worker was lost every time.

    Args:
        reason: of the last time.
        attempts: how often it was tried.
    """

    reason: str
    attempts: int


class Workers(Protocol):
    """Where tasks go."""

    def submit(self, slot: int, task: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task in a slot that is free."""
        ...

    def mend(self, slot: int) -> None:
        """Put a slot in order whose worker was lost."""
        ...

    def close(self, *, now: bool) -> None:
        """Let the workers go; ``now``: whatever they are doing."""
        ...


class Executors:
    """Each slot an executor of one worker, so that one that dies takes nobody with it.

    Args:
        make: makes one.
        n: slots.
    """

    def __init__(self, make: Callable[[], Executor], n: int) -> None:
        self._make = make
        self._slots: list[Executor | None] = [None] * n

    def submit(self, slot: int, task: Callable[..., Any], *args: Any) -> Future[Any]:
        executor = self._slots[slot]
        if executor is None:
            executor = self._slots[slot] = self._make()
        return executor.submit(task, *args)

    def mend(self, slot: int) -> None:
        executor, self._slots[slot] = self._slots[slot], None
        if executor is not None:
            with suppress(Exception):
                executor.shutdown(wait=False)

    def close(self, *, now: bool) -> None:
        for executor in self._slots:
            if executor is None:
                continue
            if now:
                for number in list(getattr(executor, "_processes", None) or ()):
                    with suppress(OSError):
                        os.kill(number, getattr(signal, "SIGKILL", signal.SIGTERM))
            executor.shutdown(wait=not now)


class Inline:
    """One slot that is the process itself: nothing is started for one run at a time."""

    def submit(self, slot: int, task: Callable[..., Any], *args: Any) -> Future[Any]:
        found: Future[Any] = Future()
        found.set_result(task(*args))
        return found

    def mend(self, slot: int) -> None:
        """Nothing can be lost."""

    def close(self, *, now: bool) -> None:
        """Nothing was started."""


class DaskWorkers:
    """Tasks for a dask cluster: the program's client, the one at an address, or one started here.

    Args:
        n: tasks at the same time.
        address: the scheduler's, like ``"tcp://host:8786"``, or None.
    """

    def __init__(self, n: int, address: str | None) -> None:
        distributed = importlib.import_module("distributed")
        config = importlib.import_module("dask.config")
        self._own: Any = None
        try:
            client = None if address else distributed.get_client()
        except ValueError:
            client = None
        if client is None:
            address = address or config.get("scheduler-address", None)
            local = {} if address else {"n_workers": n, "threads_per_worker": 1, "dashboard_address": None}
            try:
                client = self._own = distributed.Client(address, set_as_default=False, **local)
            except OSError as error:
                raise _unreachable("dask", address, error) from error
        self._client = client

    def submit(self, slot: int, task: Callable[..., Any], *args: Any) -> Future[Any]:
        future = self._client.submit(task, *args, pure=False)
        found: Future[Any] = Future()
        future.add_done_callback(lambda done: _hand_over(done, found))
        return found

    def mend(self, slot: int) -> None:
        """The scheduler has put another worker in its place, or will."""

    def close(self, *, now: bool) -> None:
        if self._own is not None:
            self._own.close(timeout=5 if now else 60)


class RayWorkers:
    """Tasks for Ray: the cluster that the program has joined, the one at an address, or one started here.

    Args:
        address: the cluster's, like ``"host:6379"`` or ``"auto"``, or None.
    """

    def __init__(self, address: str | None) -> None:
        self._ray = importlib.import_module("ray")
        if not self._ray.is_initialized():
            try:
                self._ray.init(address=address, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise _unreachable("ray", address, error) from error

    def submit(self, slot: int, task: Callable[..., Any], *args: Any) -> Future[Any]:
        remote = self._ray.remote(task).options(num_cpus=1, max_retries=0)
        found: Future[Any] = remote.remote(*args).future()
        return found

    def mend(self, slot: int) -> None:
        """Ray starts another worker."""

    def close(self, *, now: bool) -> None:
        """The cluster is the program's."""


def workers_of(backend: str, n_jobs: int, address: str | None = None) -> Workers:
    """The workers of a backend.

    Raises:
        ConfigurationError: an unknown backend, no such cluster, or an address where none is used.
        MissingDependencyError: what the backend needs is not installed.
    """
    if backend not in BACKENDS:
        raise ConfigurationError(explain("backend", "a known one", backend, nearest(backend, BACKENDS)))
    if address is not None and backend not in WITH_ADDRESS:
        cure = "Its workers are on this machine. Use backend='dask' or 'ray'."
        raise ConfigurationError(explain("address", f"left out for {backend!r}", address, cure))
    module, package = BACKENDS[backend]
    try:
        provider = importlib.import_module(module)
    except ImportError:
        cure = 'pip install "masoft[studies]"' if package == "joblib" else f"pip install {package}"
        raise MissingDependencyError(f"Studies with backend={backend!r} need {package}. {cure}") from None
    if backend == "dask":
        return DaskWorkers(n_jobs, address)
    if backend == "ray":
        return RayWorkers(address)
    if n_jobs == 1:
        return Inline()
    kind = {"threading": ThreadPoolExecutor, "multiprocessing": ProcessPoolExecutor}.get(backend)
    if kind is None:
        return Executors(lambda: provider.ProcessPoolExecutor(max_workers=1, timeout=None), n_jobs)
    return Executors(lambda: kind(max_workers=1), n_jobs)


@dataclass
class _Task:
    """An item, how often its worker was lost, and when it may be started."""

    item: Any
    attempts: int = 0
    not_before: float = 0.0


def work_through(
    items: Sequence[Any],
    task: Callable[[Any], tuple[Any, ...]],
    workers: Workers,
    n_jobs: int,
    *,
    retries: int,
    is_stopped: Callable[[], bool],
    is_again: Callable[[Any, Any], bool],
) -> Iterator[tuple[Any, Any]]:
    """Do tasks side by side; one whose worker is lost is tried again, the others go on.

    Args:
        items: one a task, in order.
        task: the function and arguments of an item.
        workers: where.
        n_jobs: slots.
        retries: how often a task is tried again whose worker was lost.
        is_stopped: when true, nothing new is started, and what goes on is waited for.
        is_again: whether an item has to be asked for once more later, because of its answer.

    Yields:
        item and answer as they come; the answer is `Lost` where no worker gave one.
    """
    waiting, free = deque(_Task(item) for item in items), list(range(n_jobs))
    running: dict[Future[Any], tuple[_Task, int]] = {}
    while running or (waiting and not is_stopped()):
        for each in [each for each in waiting if each.not_before <= time.monotonic()]:
            if not free or is_stopped():
                break
            waiting.remove(each)
            slot = free.pop()
            running[_started(workers, slot, task(each.item))] = (each, slot)
        done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
        if not running:
            time.sleep(TICK)
        for future in done:
            each, slot = running.pop(future)
            free.append(slot)
            answer = _answer(future)
            if isinstance(answer, Lost):
                workers.mend(slot)
                each.attempts += 1
                if each.attempts <= retries and not is_stopped():
                    waiting.append(each)
                    continue
                answer = Lost(answer.reason, each.attempts)
            elif is_again(each.item, answer):
                each.not_before = time.monotonic() + AGAIN
                waiting.append(each)
                continue
            yield each.item, answer


def _started(workers: Workers, slot: int, call: tuple[Any, ...]) -> Future[Any]:
    try:
        return workers.submit(slot, *call)
    except Exception as error:  # a pool that cannot even take a task has lost it
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _answer(future: Future[Any]) -> Any:
    """What a task gave; its own errors are part of that, so any other is the worker's."""
    try:
        return future.result()
    except BaseException as error:
        line = " ".join(str(error).split())[:300]
        return Lost(f"its worker was lost: {type(error).__name__}: {line}", 1)


def _hand_over(done: Any, found: Future[Any]) -> None:
    try:
        found.set_result(done.result())
    except BaseException as error:
        found.set_exception(error)


def _unreachable(what: str, address: str | None, error: Exception) -> ConfigurationError:
    return ConfigurationError(explain(f"The address of {what}", "that of a cluster that answers", address, str(error)))
