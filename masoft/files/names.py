"""Text that comes from files or environments: how it is shown, and how it becomes a folder's name."""

from __future__ import annotations

import re

LONGEST_NAME, LONGEST_BYTES = 80, 200
"""Characters of a folder's name, and bytes of it: file systems take 255 of them."""


def shown(text: object) -> str:
    r"""Text as it may be printed: what is not printable becomes its escape, so that no terminal obeys it.

    Example:
        >>> from masoft.files import shown
        >>> print(shown("red \x1b[31m, two\nlines"))
        red \x1b[31m, two\nlines
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def folder_name(text: str) -> str:
    """A readable name of one folder: letters, digits, ``_``, ``.`` and ``-``; never hidden, never elsewhere.

    Example:
        >>> from masoft.files import folder_name
        >>> folder_name("drift=KLDrift(0.5)"), folder_name("../../etc"), folder_name("...")
        ('drift-KLDrift-0.5-', 'etc', 'unnamed')
    """
    plain = re.sub(r"[^\w.-]+", "-", text)
    if plain.startswith("."):
        plain = plain.lstrip(".-")
    plain = plain[:LONGEST_NAME]
    while len(plain.encode(errors="replace")) > LONGEST_BYTES:
        plain = plain[:-1]
    return plain or "unnamed"
