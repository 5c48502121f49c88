"""A page of HTML in one file: pictures inside it, no script, every text escaped."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from masoft.files import shown
from masoft.studies.report import Table

KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif"}
MOST_BYTES = 8 * 2**20
"""What a picture in a page may hold; a longer film stays a file of its own."""


@dataclass(frozen=True)
class Picture:
    """A picture inside a page.

    Args:
        caption: below it, and read out where it is not seen.
        source: ``data:`` address.
        is_drawn: whether it is a drawing on white, whose lightness may be turned round where the page is dark.
    """

    caption: str
    source: str
    is_drawn: bool = True


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Args:
        title: above it.
        text, pictures, tables, commands: in it, in this order.
    """

    title: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    commands: Sequence[str] = ()

    @property
    def anchor(self) -> str:
        """Its name in addresses."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A page.

    Args:
        title, summary: at its top.
        sections: below.
    """

    title: str
    summary: str
    sections: Sequence[Section] = field(default_factory=tuple)

    def html(self) -> str:
        """The file's text."""
        from jinja2 import Environment, StrictUndefined

        surroundings = Environment(autoescape=True, undefined=StrictUndefined)
        surroundings.filters["shown"] = shown
        text = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
        return surroundings.from_string(text).render(page=self)


def drawn(caption: str, draw: Callable[[Path], object]) -> Picture:
    """A picture that a function writes to a path, as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.svg"
        draw(path)
        return from_file(caption, path)


def from_file(caption: str, path: Path, *, is_drawn: bool = True) -> Picture:
    """A picture that is there."""
    data = base64.b64encode(path.read_bytes()).decode()
    return Picture(caption, f"data:{KINDS[path.suffix]};base64,{data}", is_drawn)
