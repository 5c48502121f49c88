"""What a worker of a study does: one run from beginning to end, in a private folder that gets its name last.

A run that is not finished lies in the study's subfolder ``.work``, with its checkpoints. Whoever has the run's lock
renames that folder to one of its own before it touches it, so that a process that has lost the lock without knowing
(asleep, or cut off) finds nothing to write to any more.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import threading
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import masoft
from masoft.callbacks import CheckpointCallback
from masoft.envs.vector_snapshot import restore_vector, vector_values
from masoft.errors import FolderBusyError, ModelFileError
from masoft.files import Decoder, Encoder, FolderLock, Trust, read_archive, write_archive
from masoft.files.lock import NAME
from masoft.files.remote import attached
from masoft.files.text import write_json, write_text
from masoft.runs.driver import environments, learn, new_model, parameters_of
from masoft.runs.evaluations import Evaluations
from masoft.runs.logs import make_logger
from masoft.runs.machine import machine
from masoft.runs.settings import RunSettings
from masoft.saving.checkpoint_folder import FOLDER, CheckpointFolder
from masoft.studies.folder import CURVE, DONE, FAILED, MODEL, SETTINGS, WORK, curve_digest, is_finished
from masoft.studies.study import Run

EVALUATION_SEED = 1_000_000
CHECKPOINTS, LEAST_CHECKPOINT_STEPS = 10, 10_000
"""Checkpoints of a run, and the environment steps that lie between two of them at least."""
LOOK_SECONDS = 1.0
ORPHAN_SECONDS = 60.0
"""Between two looks at whether the study is over; and what an orphan may take to leave a checkpoint."""
LEADS, STOP = b"leads\n", b"stop\n"


@dataclass(frozen=True)
class Order:
    """What a worker is told beside the run.

    Args:
        study: the study's folder, absolute.
        mark: file in it that the leading process has made; its content says whether work goes on.
        leader: number of the leading process.
        has_children: whether workers are its children.
        url: what the study's folder is a working copy of; empty: nothing.
    """

    study: Path
    mark: str
    leader: int
    has_children: bool = False
    url: str = ""

    @property
    def work(self) -> Path:
        """Where unfinished runs lie."""
        return self.study / WORK

    def lock_of(self, run: Run) -> Path:
        """The lock of a run."""
        return self.work / f"{run.key}.lock"

    def is_orphan(self) -> bool:
        """Whether this process is a child whose leader has gone."""
        return self.has_children and self.leader not in (os.getpid(), os.getppid())

    def is_over(self) -> bool:
        """Whether the study is to end, or its leader has."""
        if self.is_orphan():
            return True
        try:
            return (self.work / self.mark).read_bytes() == STOP
        except FileNotFoundError:
            return True
        except OSError:
            return False


@dataclass(frozen=True)
class Outcome:
    """What has become of a run.

    Args:
        status: ``"done"``, ``"failed"``, ``"stopped"``, ``"busy"`` (another process is at it) or ``"unshared"`` (the
            worker does not see the study's folder).
        reason: more about it.
        note: what else the user should know.
    """

    status: str
    reason: str = ""
    note: str = ""


def execute(run: Run, order: Order) -> Outcome:
    """One run from beginning to end, or from its last checkpoint; never raises what the run itself raises."""
    if not (order.work / order.mark).exists():
        return Outcome("unshared", socket.gethostname())
    _watch_leader(order)
    try:
        with FolderLock(order.lock_of(run), f"The run {run.key}") as lock:
            if is_finished(order.study / run.key):
                _send_run(run, order)
                return Outcome("done")
            if order.is_over():
                return Outcome("stopped")
            note = "" if lock.taken_over is None else f"Took {run.key} over from {lock.taken_over}, which is gone."
            outcome = (_attempt_at_url if order.url else _attempt)(run, order, lock)
            return Outcome(outcome.status, outcome.reason, note)
    except FolderBusyError as error:
        return Outcome("busy", str(error))
    except KeyboardInterrupt:
        return Outcome("stopped", "interrupted")


def _attempt_at_url(run: Run, order: Order, lock: FolderLock) -> Outcome:
    """The same where the study is at a URL: go on with what is there, and send each checkpoint and the end."""
    part = order.work / f"{run.key}.part-{secrets.token_hex(4)}"
    with attached(f"{order.url}/{WORK}/{run.key}.part", part) as there:
        part.mkdir()
        there.fetch()
        there.own()
        try:
            outcome = _attempt(run, order, lock, part)
        except FolderBusyError as error:  # not to be taken back: two workers would do that in turn
            return Outcome("failed", str(error))
        if outcome.status == "stopped":
            there.send()
        else:
            _send_run(run, order)
            there.delete()
    return outcome


def _send_run(run: Run, order: Order) -> None:
    """Send a run that has come to its end, where the study is at a URL."""
    if order.url and (order.study / run.key).is_dir():
        with attached(f"{order.url}/{run.key}", order.study / run.key) as place:
            place.send(replaces=True)


def _attempt(run: Run, order: Order, lock: FolderLock, part: Path | None = None) -> Outcome:
    """Train in a private folder, and give it its name if that came to an end.

    Args:
        run: of the study.
        order: says where.
        lock: on the run.
        part: the private folder, made; None: one that goes on with what an earlier attempt has left.
    """
    if part is None:
        with suppress(OSError):
            _sweep(run, order)
        part = order.work / f"{run.key}.part-{secrets.token_hex(4)}"
    reason = ""
    began = time.monotonic()
    try:
        earlier = _adopt(run, order, part)
        write_json(part / SETTINGS, run.settings())
        if not train(run, part, order):
            _note_seconds(part, earlier + time.monotonic() - began)
            return Outcome("stopped")
        values = {"seconds": earlier + time.monotonic() - began, "masoft": masoft.__version__, **machine()}
        write_json(part / DONE, {**values, "curve": curve_digest(part)})
    except FolderBusyError:
        raise
    except Exception as error:  # whatever went wrong in one run must not end the others
        reason = f"{type(error).__name__}: {error}"
        with suppress(OSError):
            write_text(part / FAILED, traceback.format_exc())
    lock.check()
    try:
        _publish(part, order.study / run.key, order.work)
    except OSError as error:
        return Outcome("failed", reason or f"its folder could not be written: {error}")
    return Outcome("failed", reason) if reason else Outcome("done")


def _adopt(run: Run, order: Order, part: Path) -> float:
    """Make the private folder, of what an earlier attempt left where that has checkpoints; seconds spent there."""
    if not part.is_dir():
        left = [each for each in order.work.glob(f"{run.key}.part-*") if CheckpointFolder(each).checkpoints()]
        if not left:
            part.mkdir()
            return 0.0
        newest = max(left, key=lambda each: CheckpointFolder(each).checkpoints()[-1].stat().st_mtime_ns)
        newest.rename(part)
        (part / NAME).unlink(missing_ok=True)  # of the one whose lock on the run is this one's now
    try:
        return float((part / "seconds").read_text())
    except (OSError, ValueError):
        return 0.0


def _note_seconds(part: Path, seconds: float) -> None:
    with suppress(OSError):
        write_text(part / "seconds", f"{seconds}\n")


def _sweep(run: Run, order: Order) -> None:
    """Delete what earlier attempts left, all but the one that can be gone on with."""
    parts = sorted(order.work.glob(f"{run.key}.part-*"), key=lambda each: each.stat().st_mtime_ns)
    keep = [each for each in parts if CheckpointFolder(each).checkpoints()][-1:]
    for each in [*(part for part in parts if part not in keep), *order.work.glob(f"{run.key}.old-*")]:
        shutil.rmtree(each, ignore_errors=True)


def _publish(part: Path, place: Path, work: Path) -> None:
    """Give the private folder its name, in the place of whatever has it."""
    shutil.rmtree(part / FOLDER, ignore_errors=True)
    for name in (NAME, "seconds"):
        (part / name).unlink(missing_ok=True)
    for arena in part.glob("arena-*.zip"):
        arena.unlink()
    old = work / f"{place.name}.old-{secrets.token_hex(4)}"
    with suppress(FileNotFoundError):
        place.rename(old)
    part.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def train(run: Run, folder: Path, order: Order) -> bool:
    """Train, log, evaluate on the way, save; from the newest checkpoint where there is one.

    Returns:
        whether it came to the end; false: the study was stopped, and a checkpoint says where.
    """
    settings = settings_of(run)
    with environments(settings, arena_seed=EVALUATION_SEED + run.seed, arena_copies=run.eval_envs) as (env, arena):
        model = _model(run, settings, folder, env)
        step = model.num_timesteps
        if step:
            _restore_arena(arena, folder, step)
        saver = Checkpoints(run, folder, order, arena)
        watch = Evaluations(arena, folder / CURVE, run.eval_every, run.eval_episodes, at_end=True)
        steps = model.remaining_timesteps if step else run.total_timesteps
        if steps:
            learn(model, settings, steps, make_logger(folder, settings, step), [watch, saver])
        if saver.is_stopped and model.remaining_timesteps:
            return False
        model.save(folder / MODEL)
        return True


def settings_of(run: Run) -> RunSettings:
    """A run of a study as any other run."""
    return RunSettings(
        run.variant.algorithm, run.task.env, dict(run.task.kwargs), run.n_envs, run.seed, run.total_timesteps,
        dict(run.variant.parameters), eval_every=run.eval_every, eval_episodes=run.eval_episodes,
    )  # fmt: skip


def _model(run: Run, settings: RunSettings, folder: Path, env: Any) -> Any:
    """A new model, or the one of the newest checkpoint; what cannot be gone on with is begun again."""
    checkpoints = CheckpointFolder(folder)
    if checkpoints.checkpoints():
        try:
            return settings.algorithm_class().resume(folder, env=env, **parameters_of(settings))
        except ModelFileError as error:
            warnings.warn(f"{run.key} starts anew: {error}", UserWarning, stacklevel=2)
            checkpoints.clear()
            env.seed(run.seed)
    return new_model(settings, env)


class Checkpoints(CheckpointCallback):
    """Checkpoints of a run of a study, with the state of the environment that it is evaluated in; hears of its end.

    Args:
        run: of the study.
        folder: the private one.
        order: says whether the study goes on.
        arena: the environment of the evaluations.
    """

    def __init__(self, run: Run, folder: Path, order: Order, arena: Any) -> None:
        every = max(run.total_timesteps // CHECKPOINTS, LEAST_CHECKPOINT_STEPS)
        # In the leading process signals are the leader's, which passes them on by its mark.
        super().__init__(folder, every, keep_last=2, stop_on_signals=os.getpid() != order.leader)
        self._order, self._arena, self._looked_at = order, arena, 0.0
        self._first_evaluation = run.eval_every

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            if self._order.is_over():
                self.request_stop()
        return super()._on_step()

    def _save(self) -> None:
        if self.model.num_timesteps >= self.model._total_timesteps:
            return  # the model itself comes next
        # An environment that nobody has played in starts from its seed; some have no state to tell before a reset.
        if self.model.num_timesteps >= self._first_evaluation:
            with suppress(OSError):
                _save_arena(self._arena, self.folder, self.model.num_timesteps)
        super()._save()


def _save_arena(arena: Any, folder: Path, step: int) -> None:
    """Write what decides the next evaluations, where the environment can say it."""
    encoder = Encoder()
    values = encoder.encode(vector_values(arena), "arena")
    if values is None or encoder.absent:
        return
    write_archive(folder / f"arena-{step}.zip", {"arena": values}, [("arena", encoder.tensors)])
    for old in sorted(folder.glob("arena-*.zip"), key=lambda each: each.stat().st_mtime_ns)[:-3]:
        old.unlink(missing_ok=True)


def _restore_arena(arena: Any, folder: Path, step: int) -> None:
    path = folder / f"arena-{step}.zip"
    if not path.exists():
        return
    with suppress(ModelFileError, OSError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        archive = read_archive(path)
        decoder = Decoder(archive.members.get("arena", {}), Trust(()))
        arena.reset()
        restore_vector(arena, decoder.decode(archive.manifest["arena"], "arena"))


_watched: set[int] = set()


def _watch_leader(order: Order) -> None:
    """End this process some time after its leader has gone, whatever it is doing then."""
    if not order.has_children or order.leader in (os.getpid(), *_watched):
        return
    _watched.add(order.leader)

    def watch() -> None:
        while not order.is_orphan():
            time.sleep(LOOK_SECONDS)
        time.sleep(ORPHAN_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="masoft-leader").start()
