"""What a run does when the system or another process wants it or its folder: signals, locks, going on."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from masoft.errors import ConfigurationError, MasoftError, explain
from masoft.files import FolderLock, shown
from masoft.files.lock import NAME
from masoft.files.remote import address, send
from masoft.runs.settings import SETTINGS, RunSettings

STOPPED = 75
"""Exit status of a command that a signal ended in good order; type it again to go on (`EX_TEMPFAIL` of sysexits.h)."""
PATIENCE = 120.0
"""Seconds that a requeued run waits for the one before it to end."""
OF_THE_PROGRAM = ("masoft", "python")


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 end the command as Ctrl-C does, so that what is open gets closed."""

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(STOPPED)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def run_folder(folder: Path, *, wait: float = 0.0) -> Iterator[FolderLock]:
    """The folder of a run, made if absent, as this command's own; a working copy is sent to its URL at the end.

    Args:
        folder: of the run.
        wait: seconds to wait for whoever has it.

    Raises:
        FolderBusyError: another process works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder / NAME, f"The folder {str(folder)!r}", wait=wait, is_shared=True) as lock:
        if lock.taken_over is not None:
            print(shown(f"Took {folder} over from {lock.taken_over}, which is gone."), file=sys.stderr)
        try:
            yield lock
        except BaseException:
            with suppress(OSError, MasoftError):
                send(folder)
            raise
        send(folder)


def can_resume(folder: Path, settings: RunSettings) -> bool:
    """Whether a folder holds this very run, begun.

    Raises:
        ConfigurationError: it holds another one.
    """
    from masoft.saving.checkpoint_folder import CheckpointFolder

    if not (folder / SETTINGS).exists() or not CheckpointFolder(folder).checkpoints():
        return False
    there, asked = RunSettings.load(folder).plain(), settings.plain()
    before = json.loads(
        json.dumps(asdict(settings), default=repr)
    )  # files of 0.1 have the fields of parts, not their class
    for name in sorted(asked.keys() - set(OF_THE_PROGRAM)):
        if there[name] not in (asked[name], before[name]):
            cure = f"Its run has another {name}: give the same flags, or another --out."
            got = there[name]
            raise ConfigurationError(explain(f"{name} of the run in {address(folder)!r}", repr(asked[name]), got, cure))
    return True
