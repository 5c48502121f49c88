"""Small rooms: files of at most 400 lines, functions of at most 50, classes of at most 250.

In functions and classes neither docstrings nor parameter lists count: they are documentation and data.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "masoft"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE, MAX_FUNCTION, MAX_CLASS = 400, 50, 250

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(tree: ast.Module) -> Iterator[Definition]:
    """Every function and class of a module, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Definition))


def heading_lines(node: Definition) -> int:
    """Lines of a definition's parameter list and docstring."""
    first = node.body[0]
    signature = first.lineno - node.lineno if not isinstance(node, ast.ClassDef) else 0
    if ast.get_docstring(node) is None:
        return signature
    return signature + (first.end_lineno or first.lineno) - first.lineno + 1


def length(node: Definition) -> int:
    """Lines of a definition without headings, its own and those of what is defined inside."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return lines - sum(heading_lines(child) for child in ast.walk(node) if isinstance(child, Definition))


def too_long(source: str) -> list[str]:
    """What in one module exceeds the limits."""
    found = []
    if source.count("\n") > MAX_FILE:
        found.append(f"file of {source.count(chr(10))} lines")
    for node in definitions(ast.parse(source)):
        limit = MAX_CLASS if isinstance(node, ast.ClassDef) else MAX_FUNCTION
        if length(node) > limit:
            found.append(f"{node.name} of {length(node)} lines, at most {limit}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_functions_and_classes_are_small(path: Path) -> None:
    assert too_long(path.read_text()) == []


def test_the_rule_catches_a_long_function() -> None:
    head = 'def f(\n    a,\n):\n    """Doc.\n\n    More.\n    """\n'
    assert too_long(head + "    x = 1\n" * MAX_FUNCTION) == []
    longer = head + "    x = 1\n" * (MAX_FUNCTION + 1)
    assert too_long(longer) == [f"f of {MAX_FUNCTION + 1} lines, at most {MAX_FUNCTION}"]


def test_the_rule_catches_a_long_class_and_file() -> None:
    method = "    def f(self):\n" + "        x = 1\n" * 40
    source = "class A:\n" + method * 7
    assert [line.split(" of ")[0] for line in too_long(source)] == ["A"]
    assert too_long("\n" * (MAX_FILE + 1)) == [f"file of {MAX_FILE + 1} lines"]


def test_no_drawer_for_everything() -> None:
    assert [path for path in PACKAGE.rglob("*") if path.stem in {"common", "utils", "helpers", "misc"}] == []
