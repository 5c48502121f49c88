"""The documentation as a reader sees it: built without a warning, formulas rendered, signatures true."""

from __future__ import annotations

import html
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

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


BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
PAGES = ["", "how-to/gallery/", "how-to/choose-settings/", "explanation/equations-in-code/", "benchmarks/"]


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site, served on this machine."""
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("page", PAGES)
def test_a_browser_shows_a_page_without_complaint(page: str, address: str, tmp_path: Path) -> None:
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,2400",
             "--disable-background-networking", "--no-first-run", "--virtual-time-budget=5000",
             f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
             f"--screenshot={tmp_path / 'shown.png'}"]  # fmt: skip
    ended = subprocess.run(
        [str(BROWSER), *flags, address + page], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in ended.stderr
    pixels = np.asarray(Image.open(tmp_path / "shown.png").convert("L"))
    assert np.median(pixels) > 200 and len(np.unique(pixels)) > 100


def test_every_picture_that_a_page_names_is_there(site: Path) -> None:
    missing = [
        (str(page.relative_to(site)), name)
        for page in site.rglob("*.html")
        for name in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text())
        if not name.startswith(("data:", "http")) and not (page.parent / name).resolve().is_file()
    ]
    assert missing == []
