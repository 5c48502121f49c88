"""Importing is free: no torch behind the front door, no optional package before it is needed, no code from files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "masoft"
FILES = sorted(PACKAGE.rglob("*.py"))
LIGHT = ["masoft", "masoft.errors", "masoft.validation", "masoft.spec", "masoft.presets", "masoft.cli", "masoft.envs"]
# Optional, or slow to import: only inside the function that needs them.
HEAVY = {
    "fsspec", "gfootball", "gymnasium_robotics", "jax", "jaxmarl", "joblib", "jsbsim", "matplotlib", "mpe2", "mujoco",
    "onnx", "onnxruntime", "optuna", "pandas", "pyarrow", "pygame", "ray", "rliable", "scipy", "smac", "smacv2",
    "supersuit", "tensorboard", "vmas",
}  # fmt: skip
RUNS_CODE = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}


def imported(node: ast.AST) -> set[str]:
    """Top-level packages that one statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        return {node.module.split(".")[0]}
    return set()


def at_import_time(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported; blocks under TYPE_CHECKING do not."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def heavy_imports(source: str) -> set[str]:
    """Optional or slow packages that a module imports before it is asked to do anything."""
    return set().union(*(imported(node) for node in at_import_time(ast.parse(source)))) & HEAVY


def unsafe(source: str) -> list[str]:
    """Ways to run code from data: pickle and its kin, eval, exec, and torch.load without weights_only."""
    found = []
    for node in ast.walk(ast.parse(source)):
        found += sorted(imported(node) & RUNS_CODE)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            safe_load = any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
            if name in {"eval", "exec"} or (name in {"torch.load", "th.load"} and not safe_load):
                found.append(name)
    return found


def imports_testing(source: str) -> bool:
    """Whether a module imports the testing kit anywhere, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(alias.name.startswith("masoft.testing") for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            if any(str(name).startswith("masoft.testing") for name in names):
                return True
    return False


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_do_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_heavy_at_import_time(path: Path) -> None:
    assert heavy_imports(path.read_text()) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_code_runs_from_data(path: Path) -> None:
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_but_tests_imports_the_testing_kit(path: Path) -> None:
    # The front door names it for editors and type checkers, and imports it on first use only.
    inside = "testing" in path.relative_to(PACKAGE).parts or path == PACKAGE / "__init__.py"
    assert inside or not imports_testing(path.read_text())


def test_the_rules_catch_what_they_forbid() -> None:
    assert heavy_imports("try:\n    import mujoco\nexcept ImportError:\n    pass\n") == {"mujoco"}
    assert heavy_imports("class A:\n    from jax import numpy\n") == {"jax"}
    assert heavy_imports("def f():\n    import mujoco\n") == set()
    assert unsafe("def f():\n    import pickle\n    eval('1')\n    torch.load('x')\n") == [
        "pickle",
        "eval",
        "torch.load",
    ]
    assert unsafe("torch.load('x', weights_only=True)") == []
    assert imports_testing("def f():\n    from masoft import testing\n")
    assert imports_testing("from masoft.testing import check_env\n")
    assert not imports_testing("x = 'from masoft.testing import check_env'\n")
