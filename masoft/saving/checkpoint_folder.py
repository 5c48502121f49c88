"""The folder of a run's checkpoints: small zips that each name the stretches of replay they need.

A stretch is a file of its own that is written once and never changed. A checkpoint appears by one rename, after all
that it names is on the disk; what no kept checkpoint names is deleted afterwards. So a process can die at any moment,
and the newest checkpoint in the folder is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from torch import Tensor

from masoft.errors import ModelFileError, explain
from masoft.files import open_archive, replace_file, write_archive
from masoft.files.archive import Members
from masoft.files.atomic import remove_parts

FOLDER = "checkpoints"
CHECKPOINT = re.compile(r"checkpoint-(\d{6,12})\.zip")
STRETCH = re.compile(r"rows-\d{1,18}-\d{1,18}-[0-9a-f]{8}\.safetensors")
BLOCK = 2**20


@dataclass(frozen=True)
class Stretch:
    """One file of replay rows.

    Args:
        file: its name in the folder.
        start, stop: its rows.
        n_bytes: size of the file.
        sha256: checksum of the file.
    """

    file: str
    start: int
    stop: int
    n_bytes: int
    sha256: str


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        run: the run's folder; they lie in its subfolder ``checkpoints``.
    """

    def __init__(self, run: str | Path) -> None:
        self.path = Path(run) / FOLDER

    def checkpoints(self) -> list[Path]:
        """All checkpoints, oldest first."""
        if not self.path.is_dir():
            return []
        numbered = [(int(match[1]), path) for path in self.path.iterdir() if (match := CHECKPOINT.fullmatch(path.name))]
        return [path for _, path in sorted(numbered)]

    def newest_manifest(self) -> dict[str, Any] | None:
        """What the newest readable checkpoint says of itself; None where there is none."""
        for path in reversed(self.checkpoints()):
            with contextlib.suppress(ModelFileError), open_archive(path) as archive:
                return archive.manifest
        return None

    def write_stretch(self, start: int, stop: int, tensors: Mapping[str, Tensor]) -> Stretch:
        """Put rows on the disk; nothing refers to them yet."""
        self.path.mkdir(exist_ok=True)  # a run's folder that has gone is not made again
        data = safetensors.torch.save(dict(tensors))
        name = f"rows-{start}-{stop}-{secrets.token_hex(4)}.safetensors"
        replace_file(self.path / name, lambda file: _fill(file, data))
        return Stretch(name, start, stop, len(data), hashlib.sha256(data).hexdigest())

    def write_checkpoint(
        self, manifest: Mapping[str, Any], members: Members, stretches: Sequence[Stretch], keep_last: int
    ) -> Path:
        """Put a checkpoint on the disk, then delete what is no longer needed.

        Args:
            manifest: JSON values.
            members: its tensors.
            stretches: the replay files that it needs, in the order in which they are read.
            keep_last: how many checkpoints stay, this one included.
        """
        existing = self.checkpoints()
        number = int(CHECKPOINT.fullmatch(existing[-1].name)[1]) + 1 if existing else 1  # type: ignore[index]
        path = self.path / f"checkpoint-{number:06d}.zip"
        write_archive(path, {**manifest, "stretches": [asdict(stretch) for stretch in stretches]}, members)
        for old in [*existing, path][:-keep_last]:
            old.unlink(missing_ok=True)
        self._sweep()
        return path

    def clear(self) -> None:
        """Delete all checkpoints and what they need; files of other names stay."""
        for path in self.checkpoints():
            path.unlink(missing_ok=True)
        if self.path.is_dir():
            self._sweep()

    def _sweep(self) -> None:
        """Delete unfinished files, and stretches that no checkpoint names."""
        remove_parts(self.path)
        needed = set()
        for checkpoint in self.checkpoints():
            try:
                with open_archive(checkpoint) as archive:
                    needed |= {stretch.file for stretch in listed_stretches(archive.manifest)}
            except ModelFileError:
                return  # a damaged one may still be mended by hand, so keep everything
        for path in self.path.iterdir():
            if STRETCH.fullmatch(path.name) and path.name not in needed:
                path.unlink(missing_ok=True)

    def damage(self, checkpoint: Path) -> str | None:
        """What is wrong with a checkpoint or with a file that it needs; None: every byte is as it was written."""
        try:
            with open_archive(checkpoint) as archive:
                for name in archive.names:
                    archive.tensors(name)
                stretches = listed_stretches(archive.manifest)
        except (ModelFileError, OSError) as error:
            return str(error)
        for stretch in stretches:
            path = self.path / stretch.file
            if not path.is_file() or path.stat().st_size != stretch.n_bytes or _checksum(path) != stretch.sha256:
                return f"{stretch.file} is missing or damaged."
        return None

    def has_stretch(self, stretch: Stretch) -> bool:
        """Whether a stretch that was written is still there."""
        path = self.path / stretch.file
        return path.is_file() and path.stat().st_size == stretch.n_bytes

    def read_stretch(self, stretch: Stretch) -> dict[str, Tensor]:
        """The rows of one file, which `damage` has checked."""
        try:
            return safetensors.torch.load_file(self.path / stretch.file)
        except Exception as error:  # safetensors has its own class, which is no subclass of anything
            raise ModelFileError(f"{stretch.file} is no replay file: {error}") from error


def listed_stretches(manifest: Mapping[str, Any]) -> list[Stretch]:
    """The replay files that a checkpoint names.

    Raises:
        ModelFileError: the list is none, or names a file elsewhere.
    """
    try:
        stretches = [Stretch(**entry) for entry in manifest.get("stretches", [])]
    except TypeError as error:
        raise ModelFileError(f"The list of replay files in the checkpoint is damaged: {error}") from error
    for stretch in stretches:
        numbers = (stretch.start, stretch.stop, stretch.n_bytes)
        if not isinstance(stretch.file, str) or not STRETCH.fullmatch(stretch.file):
            raise ModelFileError(explain("A replay file", "named rows-START-STOP-ID.safetensors", stretch.file))
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ModelFileError(explain("The numbers of a replay file", "whole and >= 0", numbers))
    return stretches


def _fill(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
