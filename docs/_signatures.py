"""griffe extension: a class is shown with the signature that Python reports, not with its template's.

Its arguments are its settings, declared by it and its bases; a final algorithm fixes some of them.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from griffe import Extension, Function, Module, Parameter, ParameterKind, Parameters

import masoft

CLASSES = [f"{module}.{name}" for name, module in masoft.ALGORITHMS.items()]


class Signatures(Extension):
    """Gives each class of the list an ``__init__`` with its true parameters."""

    def on_package(self, *, pkg: Module, **kwargs: Any) -> None:
        """Called when the whole package has been read, so that bases are known."""
        for path in CLASSES:
            module, _, name = path.rpartition(".")
            shown = pkg[path.partition(".")[2]]
            constructor = Function("__init__", parameters=true_parameters(_loaded(module, name)))
            shown.set_member("__init__", constructor)


def true_parameters(real: type) -> Parameters:
    """The parameters of a class as Python reports them."""
    found = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
    for name, parameter in inspect.signature(real).parameters.items():
        is_named = parameter.kind is parameter.KEYWORD_ONLY
        kind = ParameterKind.keyword_only if is_named else ParameterKind.positional_or_keyword
        found.append(Parameter(name, annotation=parameter.annotation, kind=kind, default=repr(parameter.default)))
    return Parameters(*found)


def _loaded(module: str, name: str) -> type:
    loaded: type = getattr(importlib.import_module(module), name)
    return loaded
