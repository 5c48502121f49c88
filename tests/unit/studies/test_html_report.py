"""The report of a run and of a study: one file, whole, nothing in it that runs, every text escaped."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from masoft.cli import cli
from masoft.errors import ConfigurationError
from masoft.studies import Study, Task, Variant, run, write_html_report

SMALL = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 4, "learning_starts": 8, "buffer_size": 64}
EVIL = '<script>alert(1)</script>"><img src=x>'
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """What stands in a page; wrong nesting is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.pictures: list[str] = []
        self.attributes: list[str] = []
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        assert len(given) == len(attrs)
        self.attributes += given
        if tag == "img":
            self.pictures.append(str(given["src"]))
            assert given["alt"]
        self.anchors.add(str(given.get("id")))
        if tag == "a":
            self.links.add(str(given["href"]).removeprefix("#"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def check(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.tags[0] == "html" and "script" not in page.tags and page.links <= page.anchors
    assert not any(name.startswith("on") for name in page.attributes)
    for source in page.pictures:
        kind, _, data = source.partition(";base64,")
        content = base64.b64decode(data, validate=True)
        if kind == "data:image/svg+xml":
            root = ElementTree.fromstring(content)
            assert root.tag.endswith("svg") and not [each for each in root.iter() if each.tag.endswith("script")]
        else:
            assert kind == "data:image/png" and content[:4] == b"\x89PNG"
    return page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "game"
    small = ["--learning-starts", "8", "--batch-size", "4", "--policy-kwargs", '{"net_arch": [4]}', "--json"]
    flags = ["--total-timesteps", "60", "--seed", "1", "--eval-every", "20", "--eval-episodes", "2"]
    command = ["train", "mehaml", "matrix/maxent", "--drift", "KLDrift(0.5)", *flags, *small, "--out", str(out)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    return out


def test_a_run(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["report", str(folder), "--json"])
    path = Path(json.loads(done.output)["report"])
    page = check(path)
    assert path == folder / "report.html" and len(page.pictures) == 2 and path.stat().st_size < 500_000
    for word in ("MEHAML on matrix/maxent", "KLDrift(weight=0.5", "return of random actions", "temperature", "torch"):
        assert word in page.text, word
    assert "masoft train mehaml matrix/maxent --total-timesteps 60 --seed 1" in page.text
    assert "prefers-color-scheme: dark" in path.read_text()


BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize(("scheme", "low", "high"), [(1, 200, 256), (0, 0, 70)], ids=["light", "dark"])
def test_a_browser_shows_it(scheme: int, low: int, high: int, folder: Path, tmp_path: Path) -> None:
    path, picture = write_html_report(folder, tmp_path / "report.html"), tmp_path / "shown.png"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=900,2000",
             f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}",
             "--enable-logging=stderr", f"--screenshot={picture}"]  # fmt: skip
    ended = subprocess.run(
        [str(BROWSER), *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in ended.stderr
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert low <= np.median(pixels) < high and len(np.unique(pixels)) > 30
    curve = pixels[150:550, :600]  # where the first picture stands
    assert curve.std() > 10


def test_pictures_that_are_there_are_put_in(folder: Path) -> None:
    assert CliRunner().invoke(cli, ["plot", str(folder), "--kind", "policies"]).exit_code == 0
    page = check(write_html_report(folder))
    assert len(page.pictures) == 3 and "Policies and episodes" in page.text
    (folder / "policies.png").unlink()


def test_a_study_with_names_that_are_markup(tmp_path: Path) -> None:
    variants = [Variant("HASAC", EVIL, SMALL), Variant("HASAC", "wrong", {**SMALL, "n_steps": 3})]
    study = Study(variants, [Task("matrix/maxent", label="game & <b>")], [0, 1], 16, eval_every=8, eval_episodes=2)
    run(study, tmp_path, progress_bar=False)
    lost = next(tmp_path.glob("wrong-*"))
    (lost / "done.json").unlink()
    (lost / "failed.txt").write_text("</td></table><script>x\x1b[31m")
    page = check(write_html_report(tmp_path, tmp_path / "r.html"))
    assert len(page.pictures) == 3 and EVIL in page.text and "game & <b>" in page.text
    assert "</td></table><script>x\\x1b[31m" in page.text and "\x1b" not in page.text
    assert page.text.count("masoft train hasac matrix/maxent") == 3


def test_a_study_without_a_finished_run(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"runs": {}}')
    assert "0 of 0 runs are finished" in check(write_html_report(tmp_path)).text


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"run\.json or settings\.json in it, a study study\.json"):
        write_html_report(tmp_path)
