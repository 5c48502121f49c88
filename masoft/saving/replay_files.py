"""A replay buffer as a file of its own, what stable-baselines3 calls ``save_replay_buffer``, without pickle."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from torch import Tensor

import masoft
from masoft.buffers.replay import TeamReplayBuffer
from masoft.buffers.stretches import ReplayStretches
from masoft.errors import ConfigurationError, ModelFileError, explain
from masoft.files import Decoder, Encoder, Trust, open_archive, write_archive
from masoft.files.archive import Source
from masoft.saving.files import existing

KIND = "replay"
HEAD = "head"
MEMBER_BYTES = 64 * 2**20
"""Stretches are about this large, so that saving takes little memory beside the buffer."""


def save_replay(buffer: TeamReplayBuffer, target: Source) -> None:
    """Write all that can be drawn from a buffer, and what is needed to go on adding to it."""
    stretches = ReplayStretches(buffer)
    cuts = list(stretches.cut(0, MEMBER_BYTES))
    encoder = Encoder()
    manifest = {
        "format": 1,
        "masoft": masoft.__version__,
        "kind": KIND,
        "head": encoder.encode(stretches.head(), HEAD),
        "stretches": [list(cut) for cut in cuts],
    }
    rows = ((f"rows-{start}", stretches.read(start, stop)) for start, stop in cuts)
    write_archive(target, manifest, itertools.chain([(HEAD, encoder.tensors)], rows))


def load_replay(buffer: TeamReplayBuffer, source: Source) -> None:
    """Fill a buffer of the same size and team from a file; what it held is lost, also where this fails.

    Raises:
        ModelFileError: the file is damaged, or does not fit this buffer.
    """
    with open_archive(existing(source, "a replay buffer")) as archive:
        manifest = archive.manifest
        if manifest.get("kind") != KIND or manifest.get("format") != 1:
            raise ModelFileError(explain("The file", "a replay buffer in format 1", manifest.get("kind")))
        stretches = ReplayStretches(buffer)
        decoder = Decoder(archive.tensors(HEAD) if HEAD in archive.names else {}, Trust(()))
        load_head(stretches, decoder.decode(manifest.get("head"), "head"))
        for start, stop in covering(stretches, manifest.get("stretches")):
            if f"rows-{start}" not in archive.names:
                raise ModelFileError(f"Rows {start} to {stop} of the replay buffer are missing from the file.")
            load_rows(stretches, start, stop, archive.tensors(f"rows-{start}"))


def load_head(stretches: ReplayStretches, head: Any) -> None:
    """`ReplayStretches.load_head`, for values that come from a file."""
    try:
        stretches.load_head(head)
    except (ConfigurationError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelFileError(f"The replay buffer in the file does not fit: {error}") from error


def load_rows(stretches: ReplayStretches, start: int, stop: int, tensors: Mapping[str, Tensor]) -> None:
    """`ReplayStretches.write`, for values that come from a file."""
    try:
        stretches.write(start, stop, tensors)
    except (ConfigurationError, KeyError, TypeError, RuntimeError, IndexError) as error:
        raise ModelFileError(f"The replay buffer in the file does not fit: {error}") from error


def covering(stretches: ReplayStretches, listed: Any) -> list[tuple[int, int]]:
    """The listed stretches, if they cover every row that can be drawn; later ones may repeat rows of earlier ones.

    Raises:
        ModelFileError: a row is missing, or the list is none.
    """
    try:
        cuts = [(int(start), int(stop)) for start, stop in listed]
    except (TypeError, ValueError):
        raise ModelFileError(explain("The stretches of the replay buffer", "pairs of row numbers", listed)) from None
    covered = stretches.first
    for start, stop in sorted(cuts):
        if start > covered:
            break
        covered = max(covered, stop)
    if covered < stretches.end:
        raise ModelFileError(f"Rows from {covered} to {stretches.end} of the replay buffer are missing from the file.")
    return cuts
