"""Whose line of code asked for an operation."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from pathlib import Path
from types import FrameType, TracebackType

PACKAGE = str(Path(__file__).parent.parent)
OURS = tuple(str(Path(__file__).parent / name) for name in ("blame.py", "tape.py", "recording.py", "recorder.py"))
OTHERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Blame:
    """Looks at the calls made since it was entered."""

    def __enter__(self) -> Blame:
        self._outermost = sys._getframe(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to undo."""

    def line(self) -> str:
        """``file:line (code)`` of the innermost line of a user; of masoft itself, where there is none."""
        frame: FrameType | None = sys._getframe(1)
        of_masoft: FrameType | None = None
        while frame is not None and frame is not self._outermost:
            name = frame.f_code.co_filename
            if name.startswith(PACKAGE):
                of_masoft = of_masoft or (None if name in OURS else frame)
            elif not name.startswith((*OTHERS, "<")):
                return _shown(frame)
            frame = frame.f_back
        return "an unknown line" if of_masoft is None else _shown(of_masoft)


def _shown(frame: FrameType) -> str:
    name, number = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(name, number).strip()
    shown = f"masoft{name[len(PACKAGE) :]}" if name.startswith(PACKAGE) else name
    return f"{shown}:{number} ({code})" if code else f"{shown}:{number}"
