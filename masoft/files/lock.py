"""One process at a time in a folder, over processes and machines that share a disk.

A lock is a small file that names its host and process and is touched every few seconds. It counts as left behind when
its process is gone (seen at once on the same machine) or when nobody has touched it for `LEASE_SECONDS`, measured by
the one who waits, so that clocks that differ or jump do not matter. `filelock` does the work.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import SoftFileLease, Timeout

from masoft.errors import FolderBusyError, explain
from masoft.files.text import read_limited

LEASE_SECONDS, BEAT_SECONDS = 60.0, 10.0
NAME = ".lock"
"""Name of the lock of a run's folder, in it."""
_MARK = "?pidns-"  # how filelock tells containers of one host name apart
_held: dict[str, FolderLock] = {}


@dataclass(frozen=True)
class Holder:
    """Who has a lock.

    Args:
        host: name of the machine.
        process: its number there.
        silent: seconds since it gave its last sign, by the file system's clock.
    """

    host: str
    process: int
    silent: float

    @property
    def is_here(self) -> bool:
        """Whether the process, if it lives, is one of this machine (and container)."""
        name, _, space = self.host.partition(_MARK)
        return name == socket.gethostname() and (not space or int(space, 16) == os.stat("/proc/self/ns/pid").st_ino)

    @property
    def lives(self) -> bool:
        """Whether the process may be there: false only where it can be seen that it is not."""
        if not self.is_here or os.name != "posix":
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except OSError:  # somebody else's
            return True
        return True

    def __str__(self) -> str:
        return f"process {self.process} on {self.host.partition(_MARK)[0]}"


class FolderLock:
    """The right to write in a folder, as a context manager.

    Args:
        path: the lock's file; its folder must exist.
        what: what is locked, for messages.
        wait: seconds to wait for a holder who may be on its way out; a holder on another machine is always watched for
            as long as it takes to know that it is gone.
        is_shared: whether a second lock of this very process on the same file is let in.

    Attributes:
        taken_over: whose lock was left behind and has been taken over, or None.

    Raises:
        FolderBusyError: somebody else has it.
        OSError: the folder cannot be written to.

    Example:
        ``with FolderLock(Path("runs/x") / NAME, "runs/x"): ...``
    """

    def __init__(self, path: Path, what: str, *, wait: float = 0.0, is_shared: bool = False) -> None:
        self.path, self.what, self.wait = Path(os.path.abspath(path)), what, wait
        self.is_shared = is_shared
        self.taken_over: Holder | None = None
        self._lease: SoftFileLease | None = None

    def __enter__(self) -> FolderLock:
        if self.is_shared and str(self.path) in _held:
            return self
        found = self.holder()
        lease = SoftFileLease(
            self.path, lease_duration=LEASE_SECONDS, heartbeat_interval=BEAT_SECONDS, thread_local=False
        )
        try:
            lease.acquire(timeout=self._patience(found), poll_interval=0.2)
        except Timeout:
            raise FolderBusyError(self._refusal()) from None
        self._lease, self.taken_over = lease, found
        _held[str(self.path)] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lease is not None:
            _held.pop(str(self.path), None)
            self._lease.release()
            self._lease = None

    @staticmethod
    def is_own(path: Path) -> bool:
        """Whether this process has the lock of that file."""
        return os.path.abspath(path) in _held

    def holder(self) -> Holder | None:
        """Who has the lock, alive or not; None: nobody."""
        try:
            lines = read_limited(self.path, 4096).decode(errors="replace").splitlines()
            silent = max(time.time() - self.path.stat().st_mtime, 0.0)
        except OSError:
            return None
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        number = values.get("pid", "")
        return Holder(values.get("host", "an unknown host"), int(number) if number.isdecimal() else 0, silent)

    def check(self) -> None:
        """Make sure that the lock is still this process's, right before something is written.

        Raises:
            FolderBusyError: it has been lost: the folder is gone, or somebody has taken over.
        """
        owner = _held.get(str(self.path))
        if owner is None or owner._lease is None:
            return
        token = owner._lease.token
        try:
            is_own = token is not None and f"token={token}".encode() in read_limited(self.path, 4096).splitlines()
        except FileNotFoundError:
            is_own = False
        except OSError:  # a disk that does not answer now is no reason to give the run up
            return
        if not is_own:
            now = self.holder()
            got = "a folder that is gone" if now is None else f"one that {now} has taken over"
            cure = "This process writes nothing more there."
            raise FolderBusyError(explain(self.what, "there and this process's own", got, cure))

    def _patience(self, found: Holder | None) -> float:
        """How long to wait: where it cannot be told at once whether the holder lives, until its silence says so."""
        # A dead process that nobody has waited for still has its number; it is silent, though.
        is_unclear = found is not None and (not found.is_here or found.silent > 2 * BEAT_SECONDS)
        # Older versions of filelock remove what a dead process has left at one look, and take the lock at the next.
        is_gone = found is not None and not found.lives
        return max(self.wait, LEASE_SECONDS + 2 * BEAT_SECONDS if is_unclear else 2.0 if is_gone else 0.0)

    def _refusal(self) -> str:
        found = self.holder()
        who = "somebody" if found is None else f"{found}, which gave its last sign {found.silent:.0f} s ago"
        cure = f"Wait for it or stop it. If you know that it is gone, delete {self.path}."
        return explain(self.what, "one that no other process works in", who, cure)
