"""Which names in a file may become Python objects: a closed list, so that no file chooses what is imported."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from masoft.errors import ModelFileError, explain

OPEN_NAMESPACES = {"torch.nn": torch.nn, "torch.optim": torch.optim}
"""Libraries whose public classes any file may name."""


SCHEDULES: Mapping[str, tuple[str, ...]] = {
    "LinearSchedule": ("start", "end", "end_fraction"),
    "ConstantSchedule": ("val",),
    "FloatSchedule": ("value_schedule",),
}
"""stable-baselines3's schedules, with the arguments that rebuild them; nothing else of it may be named."""
_SCHEDULES_AT = "stable_baselines3.common.utils"


def path_of(value: type | types.FunctionType) -> str:
    """The name under which a file knows a class or function: ``module:qualified.name``, short for torch's own."""
    for name, module in OPEN_NAMESPACES.items():
        if getattr(module, value.__name__, None) is value:
            return f"{name}:{value.__name__}"
    return f"{value.__module__}:{value.__qualname__}"


class Trust:
    """Turns names into classes and functions, if they are on the list.

    Args:
        packages: packages of which any module may be imported and any of its own classes named.
        extra: further classes, functions or modules (or dotted names of modules) that the caller vouches for.
    """

    def __init__(self, packages: Sequence[str], extra: Iterable[object] = ()) -> None:
        self._objects: dict[str, Any] = {}
        self._packages = list(packages)
        for item in extra:
            if isinstance(item, str):
                self._packages.append(item.partition(":")[0])
            elif isinstance(item, types.ModuleType):
                self._packages.append(item.__name__)
            elif isinstance(item, type | types.FunctionType):
                self._objects[path_of(item)] = item
            else:
                must = "made of classes, functions, modules, or names of modules"
                raise ModelFileError(explain("trusted", must, item))

    def find(self, path: object) -> Any:
        """The class or function of a name.

        Raises:
            ModelFileError: it is not trusted, or does not exist.
        """
        if not isinstance(path, str) or path.count(":") != 1:
            raise ModelFileError(explain("A name in a model file", "of the form 'module:name'", path))
        if path in self._objects:
            return self._objects[path]
        module_name, name = path.split(":")
        if module_name == _SCHEDULES_AT and name in SCHEDULES:
            return getattr(importlib.import_module(module_name), name)
        if module_name in OPEN_NAMESPACES:
            found = getattr(OPEN_NAMESPACES[module_name], name, None)
            if isinstance(found, type):
                return found
        elif self._is_trusted(module_name):
            return self._own_member(module_name, name)
        short = name.rpartition(".")[2]
        cure = f"If you know it, pass trusted=[{short}] with the class itself, or trusted=[{module_name!r}]."
        raise ModelFileError(explain("What a model file names", "of masoft, torch.nn or torch.optim", path, cure))

    def _is_trusted(self, module_name: str) -> bool:
        # A module called __main__ runs a program when it is imported.
        if module_name.endswith("__main__") and module_name not in sys.modules:
            return False
        return any(module_name == p or module_name.startswith(f"{p}.") for p in self._packages)

    def _own_member(self, module_name: str, name: str) -> Any:
        """A class or function that is defined in a trusted module, not merely imported there."""
        try:
            found: Any = importlib.import_module(module_name)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            what = f"The model file names {module_name}:{name}, which this version lacks"
            raise ModelFileError(f"{what}: {error}") from None
        is_own = isinstance(found, type | types.FunctionType) and found.__module__ == module_name
        if not is_own or found.__qualname__ != name:
            raise ModelFileError(explain("What a model file names", f"defined in {module_name}", name))
        return found


def fields_of(value: object) -> dict[str, Any] | None:
    """What rebuilds a frozen dataclass, or a schedule of stable-baselines3, by name; None of anything else."""
    kind = type(value)
    names: Iterable[str] = ()
    if kind.__module__ == _SCHEDULES_AT and kind.__name__ in SCHEDULES:
        names = SCHEDULES[kind.__name__]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        is_frozen = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        if not is_frozen or not all(field.init for field in dataclasses.fields(value)):
            return None
        names = [field.name for field in dataclasses.fields(value)]
    else:
        return None
    return {name: getattr(value, name) for name in names}
