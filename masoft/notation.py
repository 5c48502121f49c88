"""Objects written as text, ``KLDrift(0.5)`` or ``Linear(0.001, 0.0)``: read as data, never evaluated.

The command line, presets and study files use it; the caller says which names may stand in the text.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from masoft.errors import ConfigurationError, explain, nearest

LONGEST = 1_000
"""Characters of a part; deeper nests than that allows are no part but an attempt on the parser."""
_LOOKS_LIKE_PART = re.compile(r"^[\w\s.*+&(]*\b[A-Z]\w*\(")
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
}


def looks_like_part(text: str) -> bool:
    """Whether a text is meant as an object, like ``KLBall(0.01)`` or ``2 * KLDrift(0.5)``."""
    return _LOOKS_LIKE_PART.match(text) is not None


def parse_part(text: str, known: Mapping[str, Callable[..., Any]]) -> Any:
    """Build the object that a text describes: calls of known names with plain arguments, and ``+``, ``*``, ``&``.

    Args:
        text: for example ``"KLDrift(0.5) + 2 * ClipDrift(0.1)"``.
        known: the names that may be called.

    Raises:
        ConfigurationError: an unknown name, a wrong argument, or anything that is neither call nor plain data.

    Example:
        >>> from masoft.notation import parse_part
        >>> parse_part("complex(1, imag=2) * 2", {"complex": complex})
        (2+4j)
    """
    if len(text) > LONGEST:
        raise _refuse(text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refuse(text) from None
    return _build(tree.body, text, known)


def _build(node: ast.expr, text: str, known: Mapping[str, Callable[..., Any]]) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, text, known)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _build(node.left, text, known), _build(node.right, text, known)
        if any(isinstance(each, str | bytes | list | tuple | dict | set) for each in (left, right)):
            raise _refuse(text)  # "x" * 10**9 would be as long as it says
        try:
            return _OPERATORS[type(node.op)](left, right)
        except (TypeError, OverflowError, ValueError):
            raise _refuse(text) from None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _refuse(text) from None


def _call(node: ast.Call, name: str, text: str, known: Mapping[str, Callable[..., Any]]) -> Any:
    if name not in known:
        raise ConfigurationError(explain(f"In {text!r}: the name", "a known one", name, nearest(name, known)))
    arguments = [_build(argument, text, known) for argument in node.args]
    keywords = {keyword.arg: _build(keyword.value, text, known) for keyword in node.keywords if keyword.arg}
    try:
        return known[name](*arguments, **keywords)
    except TypeError as error:
        raise ConfigurationError(f"In {text!r}: {error}") from error


def _refuse(text: str) -> ConfigurationError:
    cure = "For example KLDrift(0.5), or FixedOrder()."
    return ConfigurationError(explain("A part", "a call of a known name with plain arguments", text, cure))
