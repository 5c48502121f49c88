"""Running a study here or elsewhere: finished runs are kept, failures stay apart, signals end it in good order."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from masoft.errors import ConfigurationError, explain
from masoft.files import FolderLock
from masoft.files.lock import LEASE_SECONDS
from masoft.files.names import shown
from masoft.files.remote import is_url, local_folder, send
from masoft.files.text import write_json, write_text
from masoft.saving.checkpoint_callback import REPEAT_SECONDS, SIGNALS
from masoft.studies.checks import check_runs
from masoft.studies.folder import (
    CURVE,
    DONE,
    FAILED,
    INDEX,
    MODEL,
    SETTINGS,
    is_finished,
    is_of_all,
    is_pending,
    is_read,
    read_index,
    write_index,
)
from masoft.studies.pool import OWN_PROCESSES, WITH_ADDRESS, Lost, work_through, workers_of
from masoft.studies.study import Run, Study
from masoft.studies.work import LEADS, STOP, Order, Outcome, execute

__all__ = [
    "CURVE", "DONE", "FAILED", "INDEX", "MODEL", "SETTINGS",
    "StudyStopped", "is_pending", "read_index", "run", "write_index",
]  # fmt: skip


class StudyStopped(KeyboardInterrupt):
    """A signal has ended a study in good order: every run has left a checkpoint, and `run` goes on from there.

    Args:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = signal.Signals(number)


def run(
    study: Study,
    folder: str | Path,
    *,
    n_jobs: int = 1,
    backend: str = "loky",
    address: str | None = None,
    retries: int = 2,
    share: tuple[int, int] = (1, 1),
    leftovers: bool = False,
    retry_failed: bool = False,
    progress_bar: bool = True,
) -> dict[str, list[str]]:
    """Do what a study asks for and the folder does not hold yet.

    A study that was interrupted goes on when it is run again: finished runs stay, others go on from their last
    checkpoint. One that has grown (seeds, algorithms, environments) does only what is new. Several processes may work
    on one folder: each run is locked by the one that does it, and this function waits for runs that others do.

    In the main thread, Ctrl-C, SIGTERM and SIGUSR1 let every run leave a checkpoint; a second signal ends at once.

    Args:
        study: what to run.
        folder: where to; made if absent. Every worker has to see it. At a URL (``"s3://bucket/study"``) each run is
            sent there with its checkpoints; the workers are this machine's, and further ones take a share each.
        n_jobs: runs at the same time.
        backend: ``"loky"`` (processes), ``"threading"``, ``"multiprocessing"``, ``"dask"`` or ``"ray"``. Only processes
            of their own give the same numbers whatever runs beside them.
        address: of dask's scheduler or Ray's cluster; None: the client or cluster that the program has joined, or what
            dask's and Ray's own settings say, or one started on this machine.
        retries: how often a run is tried again whose worker was lost.
        share: ``(i, n)``: only every n-th run, from the i-th on, counted from 1: one worker of n that know nothing of
            each other, like the tasks of a SLURM array.
        leftovers: when the share is done, do what nobody is at of other shares: runs that are not begun yet, or left
            behind by a worker that is gone.
        retry_failed: run those again that failed before.
        progress_bar: over the whole study.

    Returns:
        keys of the runs under ``"done"`` and ``"failed"``, those of the share and what was left over; a failed run's
        folder holds ``failed.txt``.

    Raises:
        ConfigurationError: an unknown backend, no such cluster, a wrong share, workers that do not see the folder, or a
            run that cannot be made as the study says; before the first run.
        MissingDependencyError: what the backend or an environment needs is not installed.
        StudyStopped: a signal.
        OSError: the folder cannot be written to.
    """
    mine = list(_share(study.runs, share))
    url = _url_of(folder, backend, n_jobs)
    study_folder = Path(os.path.abspath(local_folder(folder, is_read)))
    if leftovers and url:
        cure = "An object store cannot tell whether another worker lives."
        raise ConfigurationError(explain("leftovers", "used in a folder on a disk", str(folder), cure))
    perhaps = study.runs if leftovers else mine
    check_runs(each for each in perhaps if is_pending(study_folder / each.key, retry_failed))
    study_folder.mkdir(parents=True, exist_ok=True)
    with closing(_Pool(backend, n_jobs, address)) as pool, _lead(study_folder, backend, url) as lead:
        write_index(study, study_folder)
        send(study_folder, is_of_all)
        pending = [each for each in mine if is_pending(study_folder / each.key, retry_failed)]
        _do(pending, pool, lead, retries, progress_bar)
        if leftovers:
            others = [each for each in study.runs if each not in mine]
            left = [each for each in others if is_pending(study_folder / each.key) and _is_left(each, lead.order)]
            _do(left, pool, lead, retries, progress_bar, waits=False)
            mine += [each for each in left if not is_pending(study_folder / each.key)]
    outcome: dict[str, list[str]] = {"done": [], "failed": []}
    for each in mine:
        outcome["done" if is_finished(study_folder / each.key) else "failed"].append(each.key)
    return outcome


def _is_left(each: Run, order: Order) -> bool:
    """Whether no worker has given a sign of being at a run lately."""
    holder = FolderLock(order.lock_of(each), each.key).holder()
    return holder is None or holder.silent > LEASE_SECONDS or not holder.lives


def _url_of(folder: str | Path, backend: str, n_jobs: int) -> str:
    """The URL of a study; empty where its folder is on a disk.

    Raises:
        ConfigurationError: workers that could not see this machine's working copy of it.
    """
    if not is_url(folder):
        return ""
    if backend in WITH_ADDRESS:
        cure = "Start the study with a share of its own on each machine: share=(i, n), or --worker i/n."
        raise ConfigurationError(explain("backend", "one of this machine's for a study at a URL", backend, cure))
    if str(folder).startswith("memory:") and backend in OWN_PROCESSES and n_jobs > 1:
        cure = "Other processes do not see this one's memory."
        raise ConfigurationError(explain("n_jobs", "1 for a study in memory://", n_jobs, cure))
    return str(folder).rstrip("/")


def _share(runs: Sequence[Run], share: tuple[int, int]) -> Sequence[Run]:
    i, n = share
    if not 1 <= i <= n:
        raise ConfigurationError(explain("share", "(i, n) with 1 <= i <= n", share))
    return runs[i - 1 :: n]


class _Pool:
    """Workers that are let go at the end, and at once where the end is an error."""

    def __init__(self, backend: str, n_jobs: int, address: str | None) -> None:
        self.workers, self.n_jobs = workers_of(backend, n_jobs, address), n_jobs
        self.is_over = False

    def close(self) -> None:
        self.workers.close(now=not self.is_over)


class _Lead:
    """The leading process's own mark in the folder, and what signals have asked of it.

    Args:
        order: what workers are told.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.stopped_by: int | None = None
        self.problem: str | None = None
        self._asked_at = 0.0

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Let the runs end in order; a second signal ends at once."""
        if self.stopped_by is not None:
            if number != signal.SIGINT and time.monotonic() - self._asked_at < REPEAT_SECONDS:
                return
            raise KeyboardInterrupt
        self.stopped_by, self._asked_at = number, time.monotonic()
        self.tell()

    def is_stopped(self) -> bool:
        """Whether nothing new is to be started."""
        return self.stopped_by is not None or self.problem is not None

    def tell(self) -> None:
        """Let the workers know that it is over."""
        with suppress(OSError):  # on a full disk, a mark that goes says the same
            write_text(self.order.work / self.order.mark, STOP.decode())
            return
        with suppress(OSError):
            (self.order.work / self.order.mark).unlink()


@contextmanager
def _lead(study: Path, backend: str, url: str) -> Iterator[_Lead]:
    """Make the mark, listen to signals, and take both back."""
    order = Order(study, f"lead-{secrets.token_hex(4)}", os.getpid(), backend in OWN_PROCESSES, url)
    order.work.mkdir(exist_ok=True)
    mark = order.work / order.mark
    write_text(mark, LEADS.decode())
    lead = _Lead(order)
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, lead.on_signal) for number in SIGNALS} if is_main else {}
    try:
        yield lead
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        with suppress(OSError):
            mark.unlink()
        with suppress(OSError):
            order.work.rmdir()  # only where nothing is left to go on with


def _do(
    pending: Sequence[Run], pool: _Pool, lead: _Lead, retries: int, progress_bar: bool, *, waits: bool = True
) -> None:
    """Work through the runs; those that another process is at are waited for, or left to it.

    Raises:
        StudyStopped: a signal has asked for the end.
        ConfigurationError: a worker does not see the folder.
    """
    from tqdm import tqdm

    waited: set[str] = set()
    pool.is_over = False
    with tqdm(total=len(pending), unit="run", disable=not progress_bar) as bar:

        def is_again(each: Run, answer: Outcome) -> bool:
            if answer.status == "busy" and waits and each.key not in waited:
                waited.add(each.key)
                tqdm.write(shown(f"Waiting: {answer.reason}"))
            is_left = answer.status == "stopped" and not lead.is_stopped()  # somebody stopped the worker alone
            return (answer.status == "busy" and waits) or is_left

        answers = work_through(
            pending,
            lambda each: (execute, each, lead.order),
            pool.workers,
            pool.n_jobs,
            retries=retries,
            is_stopped=lead.is_stopped,
            is_again=is_again,
        )
        for each, answer in answers:
            _take(each, answer, lead)
            bar.update()
    pool.is_over = True
    if lead.problem is not None:
        raise ConfigurationError(lead.problem)
    if lead.stopped_by is not None:
        raise StudyStopped(lead.stopped_by)


def _take(each: Run, answer: Any, lead: _Lead) -> None:
    """Note what has become of one run."""
    place = lead.order.study / each.key
    if isinstance(answer, Lost):
        if not lead.is_stopped():
            _note_failure(each, place, f"{answer.reason} (tried {answer.attempts} times)")
        return
    if answer.note:
        from tqdm import tqdm

        tqdm.write(shown(answer.note))
    if answer.status == "unshared":
        cure = "Nothing was run there. Give a folder on a disk that all machines share."
        got = f"one that workers on {shown(answer.reason)} do not have"
        lead.tell()
        lead.problem = explain(f"The study's folder {str(lead.order.study)!r}", "seen by every worker", got, cure)
    if answer.status == "failed" and not (place / FAILED).exists():
        _note_failure(each, place, answer.reason)


def _note_failure(each: Run, place: Path, reason: str) -> None:
    """Write why a run has no result where the worker could not."""
    with suppress(OSError):
        place.mkdir(exist_ok=True)
        write_json(place / SETTINGS, each.settings())
        write_text(place / FAILED, reason + "\n")
