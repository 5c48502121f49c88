"""File formats without code in them: JSON for structure, safetensors for arrays, one zip for both.

Layer: beside ``functional``; knows specifications and errors, no algorithm, policy or environment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masoft.files.archive import Archive, OpenArchive, open_archive, read_archive, write_archive
    from masoft.files.atomic import replace_file
    from masoft.files.lock import FolderLock
    from masoft.files.names import folder_name, shown
    from masoft.files.text import read_json, read_table, write_text
    from masoft.files.trust import Trust
    from masoft.files.values import Decoder, Encoder

_HOME = {
    "Archive": "archive",
    "Decoder": "values",
    "Encoder": "values",
    "FolderLock": "lock",
    "OpenArchive": "archive",
    "Trust": "trust",
    "folder_name": "names",
    "open_archive": "archive",
    "read_archive": "archive",
    "read_json": "text",
    "read_table": "text",
    "replace_file": "atomic",
    "shown": "names",
    "write_archive": "archive",
    "write_text": "text",
}

__all__ = [
    "Archive",
    "Decoder",
    "Encoder",
    "FolderLock",
    "OpenArchive",
    "Trust",
    "folder_name",
    "open_archive",
    "read_archive",
    "read_json",
    "read_table",
    "replace_file",
    "shown",
    "write_archive",
    "write_text",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): the command line shows names without waiting for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'masoft.files' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"masoft.files.{_HOME[name]}"), name)
    globals()[name] = value
    return value
