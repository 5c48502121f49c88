"""Drifts, neighborhoods and orders on the command line: ``--drift "KLDrift(0.5)"``, read as data, never evaluated."""

from __future__ import annotations

import ast
import operator
import re
from typing import Any

from masoft.errors import ConfigurationError, explain, nearest

_LOOKS_LIKE_PART = re.compile(r"^[\w\s.*+&(]*\b[A-Z]\w*\(")
_OPERATORS = {ast.Add: operator.add, ast.Mult: operator.mul, ast.BitAnd: operator.and_}


def looks_like_part(text: str) -> bool:
    """Whether a flag's text names an object of `masoft.mirror`, like ``KLBall(0.01)`` or ``2 * KLDrift(0.5)``."""
    return _LOOKS_LIKE_PART.match(text) is not None


def parse_part(text: str) -> Any:
    """Build the object that the text describes: calls of names in `masoft.mirror`, ``+``, ``*``, ``&`` and literals.

    Raises:
        ConfigurationError: anything else, or an unknown name.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        raise _refuse(text) from None
    return _build(tree.body, text)


def _build(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        import masoft.mirror

        known = masoft.mirror.__all__
        if node.func.id not in known:
            raise ConfigurationError(explain(f"In {text!r}: the name", "one of masoft.mirror's", node.func.id,
                                             nearest(node.func.id, known)))  # fmt: skip
        arguments = [_build(argument, text) for argument in node.args]
        keywords = {keyword.arg: _build(keyword.value, text) for keyword in node.keywords if keyword.arg}
        try:
            return getattr(masoft.mirror, node.func.id)(*arguments, **keywords)
        except TypeError as error:
            raise ConfigurationError(f"In {text!r}: {error}") from error
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_build(node.left, text), _build(node.right, text))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _refuse(text) from None


def _refuse(text: str) -> ConfigurationError:
    cure = "For example --drift 'KLDrift(0.5)' or --order 'FixedOrder()'."
    return ConfigurationError(explain("A part", "a call of a name in masoft.mirror with plain arguments", text, cure))
