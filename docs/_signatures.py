"""griffe extension: a class is shown with the signature that Python reports, not with its template's.

A final algorithm fixes some of the template's arguments and changes defaults of others. Names and
defaults come from ``inspect``, annotations from the source.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from griffe import Class, Extension, Function, Module, Parameter, ParameterKind, Parameters

import masoft

CLASSES = [f"{module}.{name}" for name, module in masoft.ALGORITHMS.items()]


class Signatures(Extension):
    """Gives each class of the list an ``__init__`` with its true parameters."""

    def on_package(self, *, pkg: Module, **kwargs: Any) -> None:
        """Called when the whole package has been read, so that bases are known."""
        for path in CLASSES:
            module, _, name = path.rpartition(".")
            shown = pkg[path.partition(".")[2]]
            constructor = Function("__init__", parameters=true_parameters(shown, _loaded(module, name)))
            shown.set_member("__init__", constructor)


def true_parameters(shown: Class, real: type) -> Parameters:
    """The parameters of a class as Python reports them, annotated as in the source."""
    written = _written(shown)
    found = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
    for name, parameter in inspect.signature(real).parameters.items():
        source = written[name]
        default = source.default
        if name in getattr(real, "defaults", {}):
            default = repr(parameter.default)
        found.append(Parameter(name, annotation=source.annotation, kind=source.kind, default=default))
    return Parameters(*found)


def _written(shown: Class) -> dict[str, Parameter]:
    """Each parameter as the first class of the method resolution order writes it."""
    found: dict[str, Parameter] = {}
    for cls in [shown, *shown.mro()]:
        constructor = cls.members.get("__init__")
        if isinstance(constructor, Function):
            for parameter in constructor.parameters:
                found.setdefault(parameter.name, parameter)
    return found


def _loaded(module: str, name: str) -> type:
    loaded: type = getattr(importlib.import_module(module), name)
    return loaded
