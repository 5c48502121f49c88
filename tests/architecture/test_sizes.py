"""Small rooms: files of at most 400 lines, functions of at most 50, classes of at most 250, docstrings not counted."""

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


def docstring_lines(node: Definition) -> int:
    """Lines that the docstring of one definition takes."""
    if ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def length(node: Definition) -> int:
    """Lines of a definition without its docstring, for a class also without those of its methods."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    inside = [child for child in ast.walk(node) if isinstance(child, Definition)]
    return lines - sum(docstring_lines(child) for child in inside)


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
    body = "\n".join("    x = 1" for _ in range(MAX_FUNCTION))
    assert too_long(f"def f():\n{body}\n") == [f"f of {MAX_FUNCTION + 1} lines, at most {MAX_FUNCTION}"]


def test_no_drawer_for_everything() -> None:
    assert [path for path in PACKAGE.rglob("*") if path.stem in {"common", "utils", "helpers", "misc"}] == []
