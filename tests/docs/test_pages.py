"""What the documentation shows is true: snippets run, commands parse, docstrings' examples give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import masoft
from masoft.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# First line of a block that is shown but not run.
NOT_RUN = "# not run"


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of one language, in order, without their indentation."""
    found = re.findall(rf"^( *)```{language}[^\n]*\n(.*?)^\1```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return ["\n".join(line[len(indent) :] for line in text.splitlines()) + "\n" for indent, text in found]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def run_block(text: str, names: dict[str, object], page: str) -> None:
    """Execute a plain block; compare the printed values of one with prompts."""
    if NOT_RUN in text.splitlines()[0]:
        return
    if ">>>" not in text:
        exec(compile(text, page, "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert failed == 0, "".join(report)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for text in blocks(page, "python"):
        run_block(text, names, name_of(page))


def commands(page: Path) -> Iterator[list[str]]:
    """The masoft commands of a page's shell blocks, as argument lists."""
    for text in blocks(page, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("masoft "):
                yield shlex.split(line, comments=True)[1:]


def parse(command: click.Command, name: str, args: list[str]) -> None:
    """Parse a command line to its last word without doing what it says."""
    if not isinstance(command, click.Group):
        command.make_context(name, args)
        return
    context = command.make_context(name, args)
    rest = [*context._protected_args, *context.args]
    if not rest and command.invoke_without_command:
        return
    inner_name, inner, rest = command.resolve_command(context, rest)
    assert inner is not None and inner_name is not None
    parse(inner, inner_name, rest)


@pytest.mark.parametrize("page", [page for page in PAGES if list(commands(page))], ids=name_of)
def test_commands_parse(page: Path) -> None:
    for args in commands(page):
        parse(cli, "masoft", args)


def test_a_wrong_command_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(cli, "masoft", ["evaluate", "runs/x", "--episode", "3"])


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        match for page in PAGES for match in re.findall(r"`?make ([a-z]+)`|^make ([a-z]+)", page.read_text(), re.M)
    }
    assert {first or second for first, second in named} <= targets


MODULES = sorted(module.name for module in pkgutil.walk_packages(masoft.__path__, "masoft."))


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_docstring_examples(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = doctest.testmod(importlib.import_module(module), optionflags=OPTIONS)
    assert report.failed == 0
