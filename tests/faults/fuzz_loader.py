"""Coverage-guided fuzzing of the loader: ``pip install atheris; python tests/faults/fuzz_loader.py [-runs=N]``.

Atheris sees which branches a mutant reaches and keeps those that reach new ones. Anything but a `MasoftError` or a
clean load stops it with the input that did it. `fuzz_files.py` needs no such package and also seals its mutants anew.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["masoft.files", "masoft.saving.files", "zipfile", "json"]):
    from fuzz_files import small_model

    from masoft import MEHAML
    from masoft.errors import MasoftError


def one_input(data: bytes) -> None:
    """Load it."""
    with contextlib.suppress(MasoftError):
        MEHAML.load(io.BytesIO(data), device="cpu")


if __name__ == "__main__":
    corpus = Path(tempfile.mkdtemp())
    (corpus / "model.zip").write_bytes(small_model())
    atheris.Setup([*sys.argv, "-max_len=200000", str(corpus)], one_input)
    atheris.Fuzz()
