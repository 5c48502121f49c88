"""Every public symbol has a docstring and stands on a page of the reference."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import masoft

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
DIRECTIVE = re.compile(r"^::: (?P<name>[\w.]+)\n(?P<options>(?:^ +.*\n?|^\n)*)", re.MULTILINE)
MEMBERS = re.compile(r"members: \[(.*?)\]", re.DOTALL)
# Subpackages whose public names are those they export, and modules whose public names are those they define.
PACKAGES = ["buffers", "deploy", "envs", "files", "mirror", "networks", "policies", "studies", "tabular", "testing"]
MODULES = ["callbacks", "errors", "notation", "presets", "spec", "validation"]
MODULES += [f"functional.{path.stem}" for path in Path(masoft.__path__[0], "functional").glob("[a-z]*.py")]
# Data without a docstring of their own: described in prose on the page that is named.
DATA = {"ALGORITHMS": "algorithms/index.md", "__version__": "index.md"}


def documented() -> dict[str, set[str] | None]:
    """Modules and objects that the pages describe; with the names chosen from a module, or None for all."""
    found: dict[str, set[str] | None] = {}
    for page in REFERENCE.rglob("*.md"):
        for match in DIRECTIVE.finditer(page.read_text()):
            chosen = MEMBERS.search(match["options"])
            names = set(re.findall(r"\w+", chosen[1])) if chosen else None
            before = found.get(match["name"], set())
            found[match["name"]] = None if names is None or before is None else names | before
    return found


PAGES = documented()


def is_on_a_page(module: str, name: str) -> bool:
    chosen = PAGES.get(module, set())
    return f"{module}.{name}" in PAGES or chosen is None or name in chosen


def exported(package: str) -> list[tuple[str, object]]:
    """Names and values of what a package says is public."""
    module = importlib.import_module(package)
    return [(name, getattr(module, name)) for name in module.__all__]


def defined(package: str) -> list[tuple[str, object]]:
    """Public classes and functions that a module defines itself."""
    module = importlib.import_module(package)
    return [
        (name, value)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == package
    ]


PUBLIC = [("masoft", name, value) for name, value in exported("masoft") if name not in DATA]
PUBLIC += [(package, *pair) for package in PACKAGES for pair in exported(f"masoft.{package}")]
PUBLIC += [(module, *pair) for module in MODULES for pair in defined(f"masoft.{module}")]


@pytest.mark.parametrize(("package", "name", "value"), PUBLIC, ids=lambda part: part if isinstance(part, str) else "")
def test_public_symbol_is_documented(package: str, name: str, value: object) -> None:
    home = getattr(value, "__module__", None)
    if not isinstance(home, str) or not home.startswith("masoft."):  # a type alias or constant: its module must show it
        sources = [module for module, chosen in PAGES.items() if chosen is None or name in chosen]
        assert any(hasattr(importlib.import_module(each), name) for each in sources if each.startswith("masoft"))
        return
    assert inspect.getdoc(value), f"{home}.{name} has no docstring"
    assert is_on_a_page(home, value.__name__), f"{home}.{name} is on no page of docs/reference"


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(PUBLIC) > 200 and len({(package, name) for package, name, _ in PUBLIC}) == len(PUBLIC)


def test_data_is_described_in_prose() -> None:
    assert set(DATA) <= set(masoft.__all__)
    page = (REFERENCE / DATA["ALGORITHMS"]).read_text()
    assert all(f"`{name}`" in page for name in masoft.ALGORITHMS)


def test_what_pages_name_exists() -> None:
    for name, chosen in PAGES.items():
        try:
            thing = importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition(".")
            thing = getattr(importlib.import_module(module), attribute)
        missing = [each for each in chosen or () if not hasattr(thing, each)]
        assert not missing, f"{name} has no {missing}"
