"""Small tables as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any


def as_csv(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as text; what is no number (NaN) is left empty.

    >>> as_csv(("step", "value"), [(1, 0.5), (2, float("nan"))])
    'step,value\\n1,0.5\\n2,\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if cell != cell else cell for cell in row] for row in rows])
    return text.getvalue()
