"""scikit-learn's contract for algorithms: the constructor is the configuration, stored verbatim and checked first."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from masoft.errors import ConfigurationError, explain
from masoft.fast.recording import DIRECT
from masoft.settings import Setting, settings_of
from masoft.validation import Constraints, check_names, check_parameters

E = TypeVar("E", bound="Estimator")


class EstimatorMeta(ABCMeta):
    """Checks constructor arguments against the class's declarations before the constructor runs.

    The arguments are the class's `masoft.settings`. A final class chooses parts by naming them in ``parts``; those
    leave its signature.
    """

    @property
    def __signature__(cls) -> inspect.Signature:
        found, parts = settings_of(cls), getattr(cls, "parts", {})
        kept = [each for name, each in found.items() if name not in parts]
        return inspect.Signature([each.parameter for each in kept])

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
        estimator._is_settled = True
        return estimator


class Estimator(metaclass=EstimatorMeta):
    """Parameters that can be read, copied, changed and printed.

    Class attributes:
        declared: the constructor's arguments, those that this class fixes included; see `masoft.settings`.
        constraints: what each of them must be.
        parts: arguments that this class fixes.
    """

    declared: ClassVar[Mapping[str, Setting]] = {}
    constraints: ClassVar[Constraints] = {}
    parts: ClassVar[Mapping[str, Any]] = {}
    _parameters: dict[str, Any]
    _is_settled: bool = False
    _settings: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.declared = settings_of(cls)
        cls.constraints = {name: each.ranges for name, each in cls.declared.items() if each.ranges}
        # ``policy`` and ``env`` as attributes are what was made of these arguments.
        cls._settings = frozenset(cls.declared) - {"policy", "env"}

    def __setattr__(self, name: str, value: Any) -> None:
        # Loops set attributes at every step: the way of those that are no settings is short.
        if name in self._settings and self._is_settled:
            self._change({name: value})
        else:
            object.__setattr__(self, name, value)

    @contextmanager
    def _unsettled(self) -> Iterator[None]:
        """While the estimator itself is at work on its attributes, which then are no changes of settings."""
        before, self._is_settled = self._is_settled, False
        try:
            yield
        finally:
            self._is_settled = before

    def _change(self, changes: Mapping[str, Any]) -> None:
        """Change settings of an estimator that is built: all of them, or none.

        Raises:
            ConfigurationError: names a setting that cannot be changed now, what it must be, and what to do.
        """
        for name in changes:
            self._check_changeable(name)
        before = {name: vars(self).get(name) for name in changes}
        parameters = dict(self._parameters)
        check_parameters(type(self).__name__, self.constraints, {**parameters, **changes})
        try:
            self._set({**parameters, **changes}, changes)
        except BaseException:
            self._set(parameters, before)
            raise

    def _set(self, parameters: dict[str, Any], values: Mapping[str, Any]) -> None:
        with self._unsettled():
            self._parameters = parameters
            getattr(self, "runner", DIRECT).forget()
            for name, value in values.items():
                setattr(self, name, value)
            if hasattr(self, "policy"):
                for follower in dict.fromkeys(self.declared[name].felt_by for name in values):
                    if follower:
                        getattr(self, follower)()

    def _check_changeable(self, name: str) -> None:
        owner = type(self).__name__
        if name in self.parts:
            must, got = f"what makes a {owner} one: {self.parts[name]!r}", "another value"
            raise ConfigurationError(explain(f"{name} of a {owner}", must, got, "MEHAML and HAML leave it open."))
        if self.declared[name].instead:
            which = f"The {name!r} parameter of a {owner} that is built"
            raise ConfigurationError(explain(which, "as it was", "another value", self.declared[name].instead))

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
        """Change constructor arguments: one that has learned goes on with them, one that has not is built anew.

        Raises:
            ConfigurationError: an argument that cannot be changed any more; nothing is changed then.
            TypeError: an unknown name.
        """
        check_names(type(self).__name__, list(params), self.parameter_names())
        if getattr(self, "num_timesteps", 0) > 0:
            self._change({name: value for name, value in params.items() if not _same(value, self._parameters[name])})
            return self
        merged = {**self._parameters, **params}
        check_parameters(type(self).__name__, self.constraints, merged)
        with self._unsettled():
            self._parameters = merged
            self.__init__(**merged, **self.parts)  # type: ignore[misc]
        return self

    def __repr__(self) -> str:
        defaults = {n: p.default for n, p in inspect.signature(type(self)).parameters.items()}
        shown = [f"{n}={v!r}" for n, v in self._parameters.items() if not _same(v, defaults[n])]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        from masoft.algorithms.html import html_of

        return html_of(self)

    def __sklearn_clone__(self: E) -> E:
        return clone(self)


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
