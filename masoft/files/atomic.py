"""Files that are either wholly there or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".part"
"""Suffix of a file that is being written; what a killed process leaves behind is recognised by it."""


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file beside its final place, flush it to the disk, then move it there in one step.

    A reader sees the old file or the new one, never a part; if writing fails, the old file stays and the part goes.

    Args:
        path: where the file will be; its folder must exist.
        write: fills the open file.

    Raises:
        OSError: the disk is full, the folder cannot be written to, and the like.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, so that a rename outlives a power cut; a no-op where folders cannot be opened."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_parts(folder: Path) -> None:
    """Delete what killed writers left in a folder."""
    for part in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
