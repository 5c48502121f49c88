"""Writes checkpoints while learning goes on, and ends it in good order when a signal asks for that."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from masoft.files.remote import local_folder, own
from masoft.saving.checkpoint import check_own, locked

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""What ends learning in good order; schedulers send the third one as a warning where they are asked to."""
REPEAT_SECONDS = 2.0
"""A scheduler signals the whole job, and a script in it passes that on: within this time both are one signal."""


class CheckpointCallback(BaseCallback):
    """Saves everything every so many steps, between an update and the next environment step.

    The first checkpoint is written before the first step, the last one when learning ends. A full disk costs a
    warning and that one checkpoint; those before it stay. ``SIGINT`` (Ctrl-C), ``SIGTERM`` and ``SIGUSR1`` finish the
    present iteration, save, and let ``learn`` return; a second one stops at once, as Python does. An iteration that
    takes longer than ``grace`` is cut at its next environment step: what was saved then goes on with new episodes.

    The folder is locked while learning goes on, see `masoft.files.lock`.

    Args:
        folder: the run's folder or its URL, see `TeamAlgorithm.save_checkpoint`.
        every: environment steps between two checkpoints, at least 1.
        keep_last: how many stay.
        stop_on_signals: whether to listen to the signals (only possible in the main thread).
        grace: seconds that an iteration may take to its end after a signal.

    Attributes:
        stopped_by: the signal that ended learning, or None.
        is_stopped: whether a signal or `request_stop` ended learning.

    Raises:
        FolderBusyError: another process works in the folder, or the folder is gone.

    Example:
        ``model.learn(1_000_000, callback=CheckpointCallback("runs/x"))``, and after whatever happened
        ``model = HASAC.resume("runs/x", env=env); model.learn(model.remaining_timesteps, reset_num_timesteps=False)``
    """

    def __init__(
        self,
        folder: str | Path,
        every: int = 10_000,
        *,
        keep_last: int = 3,
        stop_on_signals: bool = True,
        grace: float = 30.0,
    ) -> None:
        super().__init__()
        self.folder = local_folder(folder, to_write=True)
        self.every = max(every, 1)
        self.keep_last = keep_last
        self.stop_on_signals = stop_on_signals
        self.grace = grace
        self.stopped_by: signal.Signals | None = None
        self._asked_at: float | None = None
        self._locks = ExitStack()
        self._due = 0
        self._saved_at: int | None = None
        self._is_over = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def is_stopped(self) -> bool:
        """Whether a signal or `request_stop` ended learning, or is about to."""
        return self._asked_at is not None

    def request_stop(self) -> None:
        """End learning as a signal does; for threads, and for schedulers that send none."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()

    def _on_training_start(self) -> None:
        self._locks.close()
        self._locks.enter_context(locked(self.folder))
        check_own(self.model, self.folder)
        own(self.folder)
        self.stopped_by, self._asked_at, self._is_over = None, None, False
        has_checkpoint = getattr(self.model, "_on_disk", None) is not None  # just resumed, or saved by hand
        self._saved_at = self.model.num_timesteps if has_checkpoint else None
        self._due = self.model.num_timesteps + (self.every if has_checkpoint else 0)
        if self.stop_on_signals and threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def _on_rollout_start(self) -> None:
        if self.is_stopped or self.model.num_timesteps >= self._due:
            self._save()
            self._is_over = self.is_stopped

    def _on_step(self) -> bool:
        is_late = self._asked_at is not None and time.monotonic() - self._asked_at > self.grace
        return not self._is_over and not is_late

    def _on_training_end(self) -> None:
        self._listen_no_more()
        if self.model.num_timesteps < self.model._total_timesteps:
            # A callback ended learning within a step, whose transition stable-baselines3 drops: start episodes anew.
            self.model._last_obs = None
        if not self._is_over and self._saved_at != self.model.num_timesteps:
            self._save()
        self._locks.close()

    def _save(self) -> None:
        model: Any = self.model
        try:
            model.save_checkpoint(self.folder, self.keep_last)
        except OSError as error:
            warnings.warn(f"No checkpoint at step {model.num_timesteps}: {error}", UserWarning, stacklevel=2)
        else:
            self._saved_at = model.num_timesteps
        while self._due <= model.num_timesteps:
            self._due += self.every

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by is None and getattr(self.model, "is_learning", True):
            self.stopped_by = signal.Signals(number)
            self.request_stop()
            return
        is_repeat = self._asked_at is not None and time.monotonic() - self._asked_at < REPEAT_SECONDS
        if number != signal.SIGINT and is_repeat:
            return
        self._listen_no_more()
        signal.raise_signal(number)

    def _listen_no_more(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
