"""scikit-learn's contract for algorithms: the constructor is the configuration, stored verbatim and checked first."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from masoft.errors import ConfigurationError
from masoft.validation import Constraints, check_names, check_parameters

E = TypeVar("E", bound="Estimator")


class EstimatorMeta(ABCMeta):
    """Checks constructor arguments against the class's declarations before the constructor runs.

    A final class chooses parts by naming them in ``parts``; those parameters leave its signature.
    """

    @property
    def __signature__(cls) -> inspect.Signature:
        full = inspect.signature(cls.__init__)  # type: ignore[misc]
        parts, defaults = getattr(cls, "parts", {}), getattr(cls, "defaults", {})
        kept = [p for name, p in full.parameters.items() if name != "self" and name not in parts]
        kept = [p.replace(default=defaults.get(p.name, p.default)) for p in kept]
        return inspect.Signature(kept)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        signature = inspect.signature(cls)
        check_names(cls.__name__, list(kwargs), list(signature.parameters))
        given = dict(signature.bind(*args, **kwargs).arguments)
        is_alone = "env" in signature.parameters and "env" not in given and "policy" not in kwargs
        if is_alone and not _is_policy(given.get("policy", "")):
            given["env"] = given.pop("policy")  # HASAC(env): the policy has a default
        defaults = {n: p.default for n, p in signature.parameters.items() if p.default is not p.empty}
        parameters = {name: given.get(name, defaults.get(name)) for name in signature.parameters}
        check_parameters(cls.__name__, getattr(cls, "constraints", {}), parameters)
        estimator: Any = cls.__new__(cls)  # type: ignore[call-arg, arg-type]
        estimator._parameters = parameters
        estimator.__init__(**parameters, **getattr(cls, "parts", {}))
        return estimator


class Estimator(metaclass=EstimatorMeta):
    """Parameters that can be read, copied, changed and printed.

    Class attributes:
        constraints: what each constructor argument must be.
        parts: constructor arguments that this class fixes.
        defaults: constructor arguments for which this class has a default of its own.
    """

    constraints: ClassVar[Constraints] = {}
    parts: ClassVar[Mapping[str, Any]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}
    _parameters: dict[str, Any]

    @classmethod
    def parameter_names(cls) -> list[str]:
        """Names of the constructor's arguments, in order."""
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as passed.

        Args:
            deep: accepted for scikit-learn's sake; nothing here nests estimators.
        """
        return dict(self._parameters)

    def set_params(self: E, **params: Any) -> E:
        """Change constructor arguments of an estimator that has not learned yet; it is built anew.

        Raises:
            ConfigurationError: it has learned already.
            TypeError: an unknown name.
        """
        check_names(type(self).__name__, list(params), self.parameter_names())
        if getattr(self, "num_timesteps", 0) > 0:
            raise ConfigurationError(
                f"set_params would discard what this {type(self).__name__} has learned. "
                "Use masoft.clone(model).set_params(...) for a fresh one."
            )
        merged = {**self._parameters, **params}
        check_parameters(type(self).__name__, self.constraints, merged)
        self._parameters = merged
        self.__init__(**merged, **self.parts)  # type: ignore[misc]
        return self

    def __repr__(self) -> str:
        defaults = {n: p.default for n, p in inspect.signature(type(self)).parameters.items()}
        shown = [f"{n}={v!r}" for n, v in self._parameters.items() if not _same(v, defaults[n])]
        return f"{type(self).__name__}({', '.join(shown)})"


def clone(estimator: E) -> E:
    """A fresh estimator with the same parameters, which has learned nothing."""
    return type(estimator)(**estimator.get_params())


def _is_policy(value: object) -> bool:
    """Whether the first argument is a policy (alias or class) rather than an environment."""
    from stable_baselines3.common.policies import BasePolicy

    if isinstance(value, str):
        return value == "" or value.endswith("Policy")
    return isinstance(value, type) and issubclass(value, BasePolicy)


def _same(value: object, default: object) -> bool:
    """Whether a value is the default (arrays and other odd things count as different)."""
    try:
        return type(value) is type(default) and bool(value == default)
    except (TypeError, ValueError, RuntimeError):
        return False
