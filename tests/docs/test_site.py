"""The documentation as a reader sees it: built without a warning, formulas rendered, signatures true."""

from __future__ import annotations

import html
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import masoft

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs comes with the docs extra"),
]
LATEX = re.compile(r"\$\$|\\(frac|sum|mathbb|mathcal|mathfrak|alpha|pi|bar|qquad|text)\b|\\\(|\\\[")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout + done.stderr == ""
    return folder


def text_of(page: Path, *, with_code: bool) -> str:
    """The article of a page without tags."""
    whole = page.read_text()
    article = whole[whole.find("<article") : whole.find("</article")]
    if not with_code:
        article = re.sub(r"<(pre|code)\b.*?</\1>", "", article, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", article))


def test_no_formula_is_left_as_latex(site: Path) -> None:
    found = {page: LATEX.search(text_of(page, with_code=False)) for page in site.rglob("*.html")}
    assert {str(page): match[0] for page, match in found.items() if match} == {}


@pytest.mark.parametrize("name", masoft.ALGORITHMS)
def test_a_page_shows_the_arguments_that_an_algorithm_takes(site: Path, name: str) -> None:
    page = site / "reference" / "algorithms" / name.lower() / "index.html"
    shown = re.search(rf"\b{name}\(\n(.*?)\n\)", text_of(page, with_code=True), re.DOTALL)
    assert shown is not None
    written = dict(re.findall(r"^    (\w+):.*?(?:= (.*?))?,$", shown[1], re.MULTILINE | re.DOTALL))
    parameters = inspect.signature(getattr(masoft, name)).parameters
    assert list(written) == list(parameters)
    assert float(written["learning_rate"]) == parameters["learning_rate"].default
