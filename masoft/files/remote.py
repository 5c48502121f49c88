"""Files and folders at URLs (``s3://``, ``gs://``, ``memory://``, ...), through fsspec.

An object store knows no locks, no renames and no appending. So a folder there has a working copy on this machine, in
which everything goes on as in any other folder; what has changed is sent whenever something is finished. An object
appears whole or not at all. What says that other objects are complete is sent after these, and what nobody needs any
more is deleted last: whoever is killed in between leaves what was complete before.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import secrets
import shutil
import socket
import tempfile
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from masoft.errors import ConfigurationError, FolderBusyError, MissingDependencyError, explain

SEALS = ("*checkpoint-*.zip", "*done.json")
"""Names that say that what lies beside them is complete; they are sent last."""
OWNER = ".owner"
"""Object that names the process whose folder it is."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Protocol -> masoft's extra that brings the package for it."""
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_MANGLED = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/(?!/)")
_copies: dict[str, WorkingCopy] = {}
Wanted = Callable[[str], bool]
"""Whether a file is meant, by its name in the folder."""
THREADS = 8
"""Objects that are read or sent at the same time."""


def _all(name: str) -> bool:
    return True


def is_url(place: object) -> bool:
    """Whether a place is a URL and no path.

    Raises:
        ConfigurationError: a URL that `pathlib.Path` has spoiled.

    Example:
        >>> from masoft.files.remote import is_url
        >>> is_url("s3://bucket/run"), is_url("runs/x"), is_url("C:/runs")
        (True, False, False)
    """
    if isinstance(place, Path) and _MANGLED.match(place.as_posix()):
        cure = f"Path drops a slash: give the text {place.as_posix().replace(':/', '://', 1)!r}."
        raise ConfigurationError(explain("A URL", "text, and no pathlib.Path", place, cure))
    return isinstance(place, str) and _URL.match(place) is not None


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the URL's path in it.

    Raises:
        ConfigurationError: no such protocol, or this machine's disk.
        MissingDependencyError: the package for the protocol is not installed.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    protocol = url.partition("://")[0].lower()
    try:
        found, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        cure = f'pip install "masoft[{extra}]"' if extra else str(error)
        raise MissingDependencyError(
            explain(f"{protocol}://", "used with its package installed", "none", cure)
        ) from error
    except ValueError as error:
        known = "s3://, gs://, or another one that fsspec knows"
        raise ConfigurationError(explain("The URL", known, url, f"It says: {error}.")) from error
    if isinstance(found, LocalFileSystem):
        raise ConfigurationError(explain("A URL", "one of another machine", url, f"Give the path, {path!r}."))
    return found, path.rstrip("/")


@contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    """Each store's library has its own errors for a network or a right that is missing; callers see one kind."""
    try:
        yield
    except OSError as error:
        if url in str(error):
            raise
        kind = type(error) if type(error).__module__ == "builtins" else OSError
        raise kind(f"{url}: {error.strerror or error}") from error
    except (KeyboardInterrupt, SystemExit, ConfigurationError, MissingDependencyError):
        raise
    except Exception as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error


def send_file(path: Path, url: str) -> None:
    """Put a file at a URL; a reader sees the old one or the new one.

    Raises:
        OSError: the store cannot be reached, refuses, and the like.
    """
    store, place = file_system(url)
    with _as_os_errors(url):
        store.put_file(str(path), place)


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """The content of a URL as a file that can seek, on this machine's disk.

    Raises:
        FileNotFoundError: there is none.
        OSError: the store cannot be reached, refuses, and the like.
    """
    store, place = file_system(url)
    with tempfile.TemporaryFile() as file:
        with _as_os_errors(url), store.open(place, "rb") as source:
            shutil.copyfileobj(source, file)
        file.seek(0)
        yield file


def exists(url: str) -> bool:
    """Whether there is a file at a URL."""
    store, place = file_system(url)
    with _as_os_errors(url):
        return bool(store.isfile(place))


def local_folder(place: str | Path, wanted: Wanted = _all, *, to_write: bool = False) -> Path:
    """The folder to work in: a path itself, or the working copy of a URL, brought up to date.

    Args:
        place: a path or a URL.
        wanted: which files of a URL are read.
        to_write: whether a copy that is there is left as it is, so that who has lost the URL to somebody hears of it.

    Raises:
        OSError: the store cannot be reached, refuses, and the like.
    """
    if not is_url(place):
        return Path(place)
    url = str(place).rstrip("/")
    is_new = url not in _copies
    if is_new:
        _copies[url] = WorkingCopy(url)
    if is_new or not to_write:
        _copies[url].fetch(wanted)
    return _copies[url].folder


@contextmanager
def attached(url: str, folder: Path) -> Iterator[WorkingCopy]:
    """Let a folder be the working copy of a URL for a while."""
    _copies[url] = WorkingCopy(url, folder)
    try:
        yield _copies[url]
    finally:
        del _copies[url]


def own(folder: Path) -> None:
    """Where a folder is a working copy, become the one who writes to its URL. See `WorkingCopy.own`."""
    for copy in _copies.values():
        if copy.folder == folder:
            copy.own()


def send(folder: Path, wanted: Wanted = _all) -> None:
    """Where a folder is a working copy, send what has changed. See `WorkingCopy.send`."""
    for copy in _copies.values():
        if copy.folder == folder:
            copy.send(wanted)


def address(text: object) -> str:
    """Text as users know it: with URLs in the place of their working copies."""
    found = str(text)
    for copy in _copies.values():
        found = found.replace(str(copy.folder), copy.url)
    return found


class WorkingCopy:
    """A folder at a URL, and what this machine has of it.

    Args:
        url: of the folder.
        folder: where the copy is; None: a temporary folder, removed at the end of the process once all has been sent.

    Attributes:
        folder: where the copy is.
    """

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._store, self._root = file_system(self.url)
        self._is_temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="masoft-")) if folder is None else folder
        self._removal: Any = None
        self._keep_until_sent(False)
        self._token = ""
        self._here: dict[str, tuple[int, int]] = {}
        self._there: dict[str, str] = {}

    def fetch(self, wanted: Wanted = _all) -> None:
        """Bring the copy up to date, unless it is this process that writes to the URL.

        Args:
            wanted: which files.

        Raises:
            OSError: the store cannot be reached, refuses, and the like.
        """
        if self._token and self._owner().get("token") == self._token:
            return
        self._token = ""
        with _as_os_errors(self.url):
            there = self._listing()
            for name in [name for name in self._here if name not in there]:
                (self.folder / name).unlink(missing_ok=True)
                del self._here[name]
            known, self._there = self._there, there
            new = [name for name, stamp in there.items() if known.get(name) != stamp or name not in self._here]
            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(self._get, filter(wanted, new)))

    def own(self) -> None:
        """Become the one who writes to the URL; whoever was it before is refused from now on.

        Raises:
            FolderBusyError: somebody has written there since it was read.
            OSError: the store cannot be reached, refuses, and the like.
        """
        if self._token:
            return
        token = secrets.token_hex(8)
        about = {"host": socket.gethostname(), "process": os.getpid(), "token": token}
        before = self._owner()
        with _as_os_errors(self.url):
            self._store.pipe_file(f"{self._root}/{OWNER}", json.dumps(about).encode())
            if self._there != self._listing():
                cure = "Read it again: resume, or give the command again."
                raise FolderBusyError(explain(self.url, "as it was read", f"changed by {_named(before)}", cure))
        self._token = token

    def send(self, wanted: Wanted = _all, *, replaces: bool = False) -> None:
        """Send what is new, then what says that it is complete; then delete there what is gone here.

        Args:
            wanted: which files.
            replaces: whether everything else at the URL is deleted, too.

        Raises:
            FolderBusyError: another process has taken over.
            OSError: the store cannot be reached, refuses, and the like; what is there is whole, and the next call sends
                the rest. The working copy stays on the disk.
        """
        self._keep_until_sent(True)
        try:
            self._check_owner()
            here = {name: state for name, state in self._files().items() if wanted(name)}
            new = [name for name, stamp in here.items() if self._here.get(name) != stamp]
            with _as_os_errors(self.url):
                for names in ([n for n in new if not _is_seal(n)], [n for n in new if _is_seal(n)]):
                    with ThreadPoolExecutor(THREADS) as threads:
                        list(threads.map(lambda name: self._put(name, here[name]), names))
                there = self._listing() if replaces else self._here
                gone = [name for name in there if name not in here and wanted(name)]
                if gone:
                    self._check_owner()
                for name in gone:
                    with contextlib.suppress(FileNotFoundError):
                        self._store.rm_file(f"{self._root}/{name}")
                    self._here.pop(name, None)
        except OSError as error:
            raise OSError(f"{error} What was to be sent stays in {self.folder}.") from error
        if not self._token:
            self._there = self._listing()
        self._keep_until_sent(False)

    def delete(self) -> None:
        """Delete what is at the URL.

        Raises:
            OSError: the store cannot be reached, refuses, and the like.
        """
        with _as_os_errors(self.url), contextlib.suppress(FileNotFoundError):
            self._store.rm(self._root, recursive=True)

    def _listing(self) -> dict[str, str]:
        """Names at the URL, each with what changes when it is written again."""
        self._store.invalidate_cache()
        found = self._store.find(self._root, detail=True)
        names = {path[len(self._root) + 1 :]: about for path, about in found.items()}
        return {name: _stamp(about) for name, about in names.items() if _is_plain(name)}

    def _get(self, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            self._store.get_file(f"{self._root}/{name}", str(part))
        except FileNotFoundError:  # deleted since it was listed
            part.unlink(missing_ok=True)
            return
        part.replace(path)
        self._here[name] = _state(path)

    def _put(self, name: str, state: tuple[int, int]) -> None:
        self._store.put_file(str(self.folder / name), f"{self._root}/{name}")
        self._here[name] = state

    def _files(self) -> dict[str, tuple[int, int]]:
        names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        return {name: _state(self.folder / name) for name in names if _is_plain(name)}

    def _owner(self) -> dict[str, Any]:
        with _as_os_errors(self.url):
            try:
                values = json.loads(self._store.cat_file(f"{self._root}/{OWNER}"))
            except (FileNotFoundError, ValueError):
                return {}
        return values if isinstance(values, dict) else {}

    def _check_owner(self) -> None:
        if not self._token:
            return
        owner = self._owner()
        if owner.get("token") != self._token:
            cure = "This process writes nothing more there."
            raise FolderBusyError(explain(self.url, "this process's own", f"taken over by {_named(owner)}", cure))

    def _keep_until_sent(self, is_kept: bool) -> None:
        """A temporary copy is removed with the process, but not while it holds what is nowhere else."""
        if self._removal is not None:
            self._removal.detach()
        keeps = is_kept or not self._is_temporary
        self._removal = None if keeps else weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def _is_plain(name: str) -> bool:
    """Whether a name stays in its folder and is none of a lock or of an unfinished file."""
    parts = PurePosixPath(name).parts
    return bool(parts) and "\\" not in name and not any(part.startswith((".", "/")) for part in parts)


def _is_seal(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in SEALS)


def _stamp(about: dict[str, Any]) -> str:
    when = next((about[key] for key in ("ETag", "etag", "LastModified", "mtime", "created") if about.get(key)), "")
    return f"{about.get('size')} {when}"


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _named(owner: dict[str, Any]) -> str:
    return f"process {owner.get('process', '?')} on {owner.get('host', 'another machine')}"
