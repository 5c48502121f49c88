"""The zip that holds a model: ``manifest.json`` and any number of safetensors members, stored without compression."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from torch import Tensor

from masoft.errors import ModelFileError, explain
from masoft.files.atomic import replace_file
from masoft.files.remote import is_url, opened, send_file

MANIFEST = "manifest.json"
TENSORS = ".safetensors"
MAX_MANIFEST_BYTES = 12 * 2**20
"""Four times the manifest of two hundred agents; as JSON it unpacks to 250 MB at worst."""
SEAL = b"masoft sha256:"
"""Beginning of the zip's comment, which holds the checksum of the manifest; the manifest holds those of the rest."""

Source = str | Path | BinaryIO
Members = Iterable[tuple[str, Mapping[str, Tensor]]]
"""Member name -> tensors by name, one member after the other, so that not all have to be in memory at once."""


@dataclass(frozen=True)
class Archive:
    """What one file holds.

    Args:
        manifest: everything but arrays, as JSON values.
        members: member name without its ending -> its tensors by name.
    """

    manifest: dict[str, Any]
    members: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def write_archive(target: Source, manifest: Mapping[str, Any], members: Members) -> None:
    """Write a file, atomically where the target is a path.

    Args:
        target: a path, whose folder is made if need be, a URL, or an open binary file.
        manifest: JSON values; the members' checksums are added to it under ``"sha256"``.
        members: pairs of a member's name and its contiguous tensors by name.

    Raises:
        OSError: the disk is full and the like; what was there before is untouched.
    """
    if is_url(target):
        with tempfile.TemporaryDirectory(prefix="masoft-") as folder:
            part = Path(folder) / "archive"
            with part.open("xb") as file:
                _write(file, manifest, members)
            send_file(part, str(target))
    elif isinstance(target, str | Path):
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: _write(file, manifest, members))
    else:
        _write(target, manifest, members)


def _write(file: BinaryIO, manifest: Mapping[str, Any], members: Members) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        sums = {}
        for name, tensors in members:
            data = safetensors.torch.save(dict(tensors))
            sums[name] = hashlib.sha256(data).hexdigest()
            archive.writestr(_entry(name + TENSORS), data)
        text = json.dumps({**manifest, "sha256": sums}, indent=1, allow_nan=False).encode()
        archive.writestr(_entry(MANIFEST), text)
        archive.comment = SEAL + hashlib.sha256(text).hexdigest().encode()


def _entry(name: str) -> zipfile.ZipInfo:
    """A member with a fixed date, so that equal models make equal files."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o600 << 16
    return info


def read_archive(source: Source) -> Archive:
    """Read a whole file, see `open_archive`; memory stays within a small multiple of the file's size."""
    with open_archive(source) as archive:
        return Archive(archive.manifest, {name: archive.tensors(name) for name in archive.names})


@contextmanager
def open_archive(source: Source) -> Iterator[OpenArchive]:
    """Open a file and check that it is what was written: nothing compressed, nothing extra, every checksum right.

    Nothing in it is run.

    Raises:
        ModelFileError: it is no masoft file, or it is truncated, tampered with, or made to do harm.
        FileNotFoundError: there is none.
    """
    if is_url(source):
        with opened(str(source)) as file:
            yield OpenArchive(file)
    elif isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            yield OpenArchive(file)
    else:
        yield OpenArchive(source)


class OpenArchive:
    """A file whose manifest has been read and whose members are read, and checked, one at a time.

    Args:
        file: open for reading in binary mode; must be able to seek.

    Attributes:
        manifest: everything but arrays, as JSON values.
        names: the members.
    """

    def __init__(self, file: BinaryIO) -> None:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        with _own_errors():
            self._zip = zipfile.ZipFile(file)
            self.manifest: dict[str, Any] = _read_manifest(self._zip, size)
            self._sums: dict[str, str] = self.manifest["sha256"]
            self.names = list(self._sums)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """One member's tensors by name.

        Raises:
            ModelFileError: it does not match its checksum.
        """
        with _own_errors():
            data = self._zip.read(name + TENSORS)
            if hashlib.sha256(data).hexdigest() != self._sums[name]:
                raise ModelFileError(f"{name + TENSORS} does not match its checksum: the file is damaged.")
            return safetensors.torch.load(data)


@contextmanager
def _own_errors() -> Iterator[None]:
    """The zip and JSON readers have many ways of saying that bytes are nonsense; callers see one."""
    try:
        yield
    except (ModelFileError, MemoryError):
        raise
    except Exception as error:
        raise ModelFileError(f"This is no masoft file, or it is damaged: {error or type(error).__name__}.") from error


def _read_manifest(archive: zipfile.ZipFile, size: int) -> dict[str, Any]:
    names = [info.filename for info in archive.infolist()]
    _refuse_foreign(names)
    _check_entries(archive.infolist(), size)
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise ModelFileError(f"The manifest of this file is larger than {MAX_MANIFEST_BYTES} bytes.")
    text = archive.read(MANIFEST)
    if archive.comment != SEAL + hashlib.sha256(text).hexdigest().encode():
        raise ModelFileError("The manifest of this file does not match its checksum: the file is damaged.")
    manifest = json.loads(text)
    sums = manifest.get("sha256") if isinstance(manifest, dict) else None
    if not isinstance(sums, dict) or sorted(names) != sorted([MANIFEST, *(name + TENSORS for name in sums)]):
        raise ModelFileError(explain("The members of a masoft file", "those that its manifest lists", sorted(names)))
    return dict(manifest)


def _refuse_foreign(names: list[str]) -> None:
    """Say what else a file may be."""
    if {"data", "policy.pth"} <= set(names):
        raise ModelFileError(
            "This is an archive of stable-baselines3, which holds pickles: loading one can run any code, so masoft "
            "does not. Load it with the stable-baselines3 class that wrote it, if you trust its source."
        )
    if MANIFEST not in names:
        shown = sorted(names)[:5]
        raise ModelFileError(explain("A masoft file", f"a zip with {MANIFEST} in it", shown))


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what a zip can be made to do: leave its folder, hide a second member, unpack to more than it is."""
    names = [info.filename for info in entries]
    if len(set(names)) != len(names):
        raise ModelFileError(explain("The members of a masoft file", "named once each", sorted(names)))
    for info in entries:
        plain = info.filename == MANIFEST or info.filename.endswith(TENSORS)
        if not plain or "/" in info.filename or "\\" in info.filename or info.filename.startswith("."):
            must = f"{MANIFEST} or a plain name that ends in {TENSORS}"
            raise ModelFileError(explain("Each member of a masoft file", must, info.filename))
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1 or info.file_size != info.compress_size:
            raise ModelFileError(explain(f"{info.filename} in a masoft file", "stored plainly", info))
    if sum(info.file_size for info in entries) > size:
        raise ModelFileError("The members of this file claim more bytes than the file has.")
