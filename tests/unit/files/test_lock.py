"""One process at a time in a folder: refused while it lives, taken over when it is gone, noticed when it is lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from masoft.errors import FolderBusyError
from masoft.files import FolderLock, lock

HOLD = """
import sys, time
from pathlib import Path
from masoft.files import FolderLock
with FolderLock(Path(sys.argv[1]), "the folder"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_living_holder_is_named(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(FolderBusyError, match=f"process {other.pid} on .* gave its last sign .*delete"):
        FolderLock(tmp_path / ".lock", "The folder").__enter__()


def test_a_killed_holder_is_taken_over_at_once(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    with FolderLock(tmp_path / ".lock", "The folder") as own:
        assert own.taken_over is not None and own.taken_over.process == other.pid
        assert own.holder() is not None and own.holder().process != other.pid  # type: ignore[union-attr]
    assert not (tmp_path / ".lock").exists()


def test_a_holder_that_leaves_is_waited_for(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    threading.Timer(0.5, other.send_signal, [signal.SIGTERM]).start()
    threading.Thread(target=other.wait).start()  # a zombie would count as alive until it has been silent for long
    with FolderLock(tmp_path / ".lock", "The folder", wait=30):
        pass


@pytest.mark.parametrize("is_silent", [True, False])
def test_another_machine_is_believed_until_it_is_silent(
    is_silent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.3)
    path = tmp_path / ".lock"
    with FolderLock(path, "The folder"):
        text = path.read_text().replace("host=", "host=far-")
        if is_silent:
            (tmp_path / "copy").write_text(text)
        else:
            path.write_text(text)  # its owner goes on touching it
            with pytest.raises(FolderBusyError, match="on far-"):
                FolderLock(path, "The folder").__enter__()
    if is_silent:
        (tmp_path / "copy").rename(path)
        with FolderLock(path, "The folder") as own:
            assert own.taken_over is not None and own.taken_over.host.startswith("far-")


def test_a_second_lock_of_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with FolderLock(path, "The folder"):
        with FolderLock(path, "The folder", is_shared=True) as inner:
            inner.check()
        assert path.exists()
        with pytest.raises(FolderBusyError):
            FolderLock(path, "The folder").__enter__()
    assert not path.exists()


@pytest.mark.parametrize("loss", ["stolen", "gone"])
def test_a_lost_lock_is_noticed(loss: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with FolderLock(folder / ".lock", "The folder") as own:
        own.check()
        if loss == "stolen":
            text = (folder / ".lock").read_text()
            (folder / ".lock").unlink()
            (folder / ".lock").write_text(text.replace("token=", "token=0"))
        else:
            shutil.rmtree(folder)
        with pytest.raises(FolderBusyError, match="taken over" if loss == "stolen" else "gone"):
            own.check()
