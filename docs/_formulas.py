"""mkdocs hook: formulas become MathML when the site is built, so that pages need no script from elsewhere.

Sources that stand beside formulas are shown, not folded.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(page_html: str, **_: Any) -> str:
    """Replace what pymdownx.arithmatex marked."""
    unfolded = page_html.replace('<details class="mkdocstrings-source">', '<details class="mkdocstrings-source" open>')
    return _FORMULA.sub(_as_mathml, unfolded)


def _as_mathml(match: re.Match[str]) -> str:
    tag, bracket, latex = match.groups()
    display = "block" if bracket == "[" else "inline"
    mathml = convert(html.unescape(latex).strip(), display=display)
    return f'<{tag} class="formula">{mathml}</{tag}>'
