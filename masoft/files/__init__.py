"""File formats without code in them: JSON for structure, safetensors for arrays, one zip for both.

Layer: beside ``functional``; knows specifications and errors, no algorithm, policy or environment.
"""

from masoft.files.archive import Archive, OpenArchive, open_archive, read_archive, write_archive
from masoft.files.atomic import replace_file
from masoft.files.trust import Trust
from masoft.files.values import Decoder, Encoder

__all__ = [
    "Archive",
    "Decoder",
    "Encoder",
    "OpenArchive",
    "Trust",
    "open_archive",
    "read_archive",
    "replace_file",
    "write_archive",
]
