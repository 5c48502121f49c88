"""Settings declared once: an annotated attribute is a constructor argument with its type, range and default.

    @settings
    class MySettings(OffPolicySettings):
        my_weight: Annotated[float, Real(0)] = 0.5

A class that inherits them takes ``my_weight=``, refuses what is out of its range, keeps it as ``self.my_weight``, and
shows it in its signature, its parameters, the command line and the documentation.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, replace
from inspect import Parameter
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from masoft.validation import Constraint

if sys.version_info >= (3, 11):
    from typing import dataclass_transform
else:
    from typing_extensions import dataclass_transform

T = TypeVar("T")

OWN = "__own_settings__"


@dataclass(frozen=True)
class Felt:
    """A change of the setting is made felt by the method of this name; others are read wherever they act."""

    by: str


@dataclass(frozen=True)
class Fixed:
    """The setting of an estimator that is built cannot be changed; says what to do instead."""

    instead: str


@dataclass(frozen=True)
class Setting:
    """A constructor argument.

    Attributes:
        name: its name.
        type: its type, as the source writes it.
        default: its value where none is given.
        ranges: alternatives, of which its value satisfies one; empty: any.
        felt_by: the method that makes a change felt; empty: none has to.
        instead: what to do instead of changing it; empty: it may change.
        is_positional: whether it may be given without its name.
    """

    name: str
    type: str
    default: Any
    ranges: tuple[Constraint, ...] = ()
    felt_by: str = ""
    instead: str = ""
    is_positional: bool = False

    @property
    def parameter(self) -> Parameter:
        """As a constructor's parameter."""
        kind = Parameter.POSITIONAL_OR_KEYWORD if self.is_positional else Parameter.KEYWORD_ONLY
        return Parameter(self.name, kind, default=self.default, annotation=self.type)


@dataclass(frozen=True)
class _Positional:
    default: Any


def positional(*, default: T, kw_only: bool = False) -> T:
    """The default of a setting that may be given without its name, such as an environment."""
    marked: Any = _Positional(default)
    found: T = marked
    return found


@dataclass_transform(kw_only_default=True, field_specifiers=(positional,))
def settings(cls: type[T]) -> type[T]:
    """Declare the class's attributes of the form ``name: Annotated[type, range, ...] = default`` as settings.

    Type checkers and editors see a constructor that takes them. ``InitVar[Annotated[...]]`` says that the attribute of
    this name is of another type than the argument, as stable-baselines3's ``device`` is.

    Raises:
        TypeError: one of them has no default.
    """
    own: dict[str, Setting] = {}
    written = vars(cls).get("__annotations__", {})
    within = {name: _within(annotation) for name, annotation in written.items()}
    alone = type(cls.__name__, (), {"__annotations__": within, "__module__": cls.__module__})  # without its bases
    for name, kind in get_type_hints(alone, include_extras=True).items():
        if get_origin(kind) is Annotated:
            own[name] = _setting(cls, name, kind, within[name])
            if within[name] is not written[name]:
                delattr(cls, name)  # the attribute of this name is of another type
    setattr(cls, OWN, own)
    return cls


def settings_of(cls: type) -> dict[str, Setting]:
    """All settings of a class: those that may be given without a name first, then its own before its bases'.

    A subclass changes a default by an attribute of its own: ``gamma = 0.95``.
    """
    found: dict[str, Setting] = {}
    for rank, base in enumerate(cls.__mro__):
        for name, setting in vars(base).get(OWN, {}).items():
            changed = [vars(each)[name] for each in cls.__mro__[:rank] if name in vars(each)]
            found.setdefault(name, replace(setting, default=changed[0]) if changed else setting)
    return dict(sorted(found.items(), key=lambda item: not item[1].is_positional))


def _setting(cls: type, name: str, annotation: Any, source: Any) -> Setting:
    """The setting that an annotation declares, with its type as the source has it."""
    if name not in vars(cls):
        raise TypeError(f"The setting {name!r} of {cls.__name__} must have a default.")
    default, is_positional = vars(cls)[name], isinstance(vars(cls)[name], _Positional)
    kind, *rest = get_args(annotation)
    facts = [each for part in rest for each in (part if isinstance(part, tuple) else (part,))]
    return Setting(
        name,
        _written(source) if isinstance(source, str) else getattr(kind, "__name__", str(kind)),
        default.default if is_positional else default,
        tuple(each for each in facts if not isinstance(each, Felt | Fixed)),
        _last([each.by for each in facts if isinstance(each, Felt)]),
        _last([each.instead for each in facts if isinstance(each, Fixed)]),
        is_positional,
    )


def _last(texts: Sequence[str]) -> str:
    return texts[-1] if texts else ""


def _within(annotation: Any) -> Any:
    """What is within ``InitVar[...]``, which Python 3.10 does not take for a type; any other annotation as it is."""
    if isinstance(annotation, InitVar):
        return annotation.type
    if not isinstance(annotation, str):
        return annotation
    found: Any = ast.parse(annotation, mode="eval").body
    is_other = isinstance(found, ast.Subscript) and getattr(found.value, "id", "") == "InitVar"
    return ast.unparse(found.slice) if is_other else annotation


def _written(annotation: str) -> str:
    """The type in ``Annotated[type, ...]``."""
    found: Any = ast.parse(annotation, mode="eval").body
    return ast.unparse(found.slice.elts[0])
