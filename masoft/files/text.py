"""Small text files: written wholly or not at all, and read so that a damaged one is named instead of raising."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from masoft.errors import ConfigurationError, explain, nearest
from masoft.files.atomic import replace_file

MAX_JSON_BYTES = 16 * 2**20
MAX_TABLE_BYTES = 256 * 2**20
"""What a settings file and a log may hold at most; both are a thousand times what masoft writes."""


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8; a reader sees the old content or the new one.

    Raises:
        OSError: the disk is full and the like; what was there before is untouched.
    """

    def fill(file: BinaryIO) -> None:
        file.write(text.encode())

    replace_file(path, fill)


def write_json(path: Path, values: Any) -> None:
    """Write JSON, see `write_text`; what JSON has no form for is written as its repr."""
    write_text(path, json.dumps(values, indent=2, default=repr) + "\n")


def read_limited(path: Path, limit: int) -> bytes:
    """A file's content.

    Raises:
        ConfigurationError: it is larger than ``limit`` bytes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigurationError(explain(str(path), f"a file of at most {limit:,} bytes", "more"))
    return data


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ConfigurationError: it is damaged, too large, or holds something else than an object.
        OSError: it cannot be read.
    """
    try:
        values = json.loads(read_limited(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(explain(f"The content of {path}", "a JSON object", values))
    return values


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the whole rows of a CSV file; what a killed or hindered writer left unfinished is passed over.

    Returns:
        the names of the columns, and a dict a row; a row counts if it is ended and as long as the first one.

    Raises:
        ConfigurationError: the file is too large.
        OSError: it cannot be read.
    """
    text = read_limited(path, MAX_TABLE_BYTES).decode(errors="replace")
    reader = csv.reader(io.StringIO(text[: text.rfind("\n") + 1].replace("\0", ""), newline=""))
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # a field without an end: what was read before is whole
        rows.extend(reader)
    names, body = (rows[0], rows[1:]) if rows else ([], [])
    return names, [dict(zip(names, row, strict=True)) for row in body if len(row) == len(names)]


def number(text: str | None) -> float | None:
    """A finite number in a table; None where there is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "dict": (dict,), "None": (type(None),),
}  # fmt: skip


def check_record(kind: type, values: Mapping[str, Any], path: Path) -> None:
    """See that a file's values are those of a record: known fields, none missing, each of its plain type.

    Args:
        kind: a dataclass whose annotations are ``str``, ``int``, ``float``, ``bool``, ``dict[...]`` or unions of these.
        values: by field.
        path: of the file, for the message.

    Raises:
        ConfigurationError: names the field.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise _damaged(path, explain("The field", "known", name, nearest(name, fields)))
    for name, field in fields.items():
        if name not in values:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise _damaged(path, explain("Its fields", f"complete, {name!r} among them", sorted(values)))
            continue
        allowed = [kind.strip() for kind in str(field.type).split("[")[0].split("|")]
        types = tuple(each for kind in allowed for each in _KINDS[kind])
        if not isinstance(values[name], types) or (isinstance(values[name], bool) and bool not in types):
            raise _damaged(path, explain(name, f"of the type {field.type}", values[name]))


def _damaged(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is damaged: {reason}")
