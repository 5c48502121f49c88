"""Environment ids: what each one is called, what builds it, and what it needs installed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from masoft.envs.catalogue import BROKEN, CATALOGUE, Entry
from masoft.errors import ConfigurationError, MasoftError, MissingDependencyError, explain, nearest


@dataclass(frozen=True)
class Registration:
    """One environment id.

    Args:
        id: the name that users type, ``"family/Name"``.
        entry_point: ``"module:function"``, imported on first use, or the callable itself; gives a PettingZoo
            environment.
        kwargs: defaults for its keyword arguments.
        extra: the extra of masoft that installs what it needs; None: nothing beyond masoft itself, or no extra has it.
        requires: importable names of the packages that it needs; with a dot, a part that tells a package from another
            one of the same name.
        vector_entry_point: gives a whole stable-baselines3 VecEnv at once, called with ``n_envs``, ``seed`` and
            ``team_reward``; for simulators that are batched by themselves.
        install: the command that installs what it needs, where neither an extra nor the packages' names do.
    """

    id: str
    entry_point: str | Callable[..., Any]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    extra: str | None = None
    requires: tuple[str, ...] = ()
    vector_entry_point: str | Callable[..., Any] | None = None
    install: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed packages that are not installed here."""
        return tuple(name for name in self.requires if not _is_there(name))

    @property
    def is_installed(self) -> bool:
        """Whether the environment can be made here."""
        return not self.missing

    @property
    def install_command(self) -> str:
        """What to type to get the needed packages."""
        if self.install:
            return self.install
        if self.extra:
            return f'pip install "masoft[{self.extra}]"'
        return "pip install " + " ".join(name.replace("_", "-") for name in self.requires)

    def build(self, **kwargs: Any) -> Any:
        """The environment.

        Raises:
            MissingDependencyError: a needed package is absent.
        """
        return self._call(self.entry_point, kwargs)

    def build_vector(self, **kwargs: Any) -> Any:
        """The VecEnv of an environment that is batched by itself.

        Raises:
            MissingDependencyError: a needed package is absent.
        """
        assert self.vector_entry_point is not None
        return self._call(self.vector_entry_point, kwargs)

    def _call(self, entry_point: str | Callable[..., Any], kwargs: Mapping[str, Any]) -> Any:
        if self.missing:
            raise MissingDependencyError(self._how_to_install(", ".join(map(_described, self.missing))))
        try:
            function = _load(entry_point) if isinstance(entry_point, str) else entry_point
        except ImportError as error:
            if isinstance(error, MissingDependencyError):
                raise
            raise MissingDependencyError(self._how_to_install(str(error))) from error
        arguments = {**self.kwargs, **kwargs}
        _check_arguments(self.id, function, arguments)
        try:
            return function(**arguments)
        except (MasoftError, OSError):
            raise
        except Exception as error:  # a simulator may refuse arguments in any way
            made = f" with {', '.join(f'{name}={value!r}' for name, value in kwargs.items())}" if kwargs else ""
            raise ConfigurationError(
                f"Environment {self.id!r} could not be made{made}. It says {type(error).__name__}: {error}"
            ) from error

    def _how_to_install(self, missing: str) -> str:
        return f"Environment {self.id!r} needs packages that are not installed: {missing}. Run: {self.install_command}"


_REGISTRY: dict[str, Registration] = {}
# "module:Class" or "module:function", and gymnasium's "module:Name-v0", which imports the module too.
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w/-]*")


def register(
    id: str,
    entry_point: str | Callable[..., Any],
    *,
    kwargs: Mapping[str, Any] | None = None,
    extra: str | None = None,
    requires: tuple[str, ...] = (),
    vector_entry_point: str | Callable[..., Any] | None = None,
    install: str | None = None,
) -> None:
    """Give an environment of your own an id, for `make`, `make_vec`, the estimators and the command line.

    Args: see `Registration`.

    Raises:
        ConfigurationError: the id is taken or is no non-empty string.

    Example:
        >>> from masoft.envs import make, register
        >>> from masoft.envs.adapters.matrix import MatrixGame
        >>> register("mine/prisoners", MatrixGame, kwargs={"payoff": [[3, 0], [5, 1]]})
        >>> make("mine/prisoners").possible_agents
        ['agent_0', 'agent_1']
    """
    if not isinstance(id, str) or not id:
        raise ConfigurationError(explain("An environment id", "a non-empty string", id))
    if id in _REGISTRY:
        raise ConfigurationError(
            explain("An environment id", "new", id, "Choose another one, for example with your own prefix.")
        )
    if not callable(entry_point) and ":" not in str(entry_point):
        raise ConfigurationError(explain("entry_point", "a callable or 'module:function'", entry_point))
    _REGISTRY[id] = Registration(
        id, entry_point, dict(kwargs or {}), extra, tuple(requires), vector_entry_point, install
    )


def registered() -> tuple[Registration, ...]:
    """All known environments, sorted by id; nothing is imported."""
    return tuple(_REGISTRY[id] for id in sorted(_REGISTRY))


def imports_own_code(id: str) -> bool:
    """Whether an id names code that is neither masoft's nor of a known simulator, which making it would import."""
    return id not in _REGISTRY and _OWN.fullmatch(id) is not None


def find(id: str) -> Registration:
    """The registration of an id; ``"module:Class"`` and gymnasium's own ids (as teams of one) are found too.

    Args:
        id: what `registered` lists, ``"module:Class"`` or ``"module:function"`` of your own, which is imported, or an
            id of gymnasium's.

    Raises:
        ConfigurationError: unknown, with the nearest ids; or what it names cannot be imported.
    """
    if id in _REGISTRY:
        return _REGISTRY[id]
    import gymnasium

    if imports_own_code(id):
        module, _, name = id.partition(":")
        loaded = _import_own(module, id)
        if id.partition(":")[2] in gymnasium.registry:
            return Registration(id, _make_gymnasium, {"id": name})
        if not callable(getattr(loaded, name, None)):
            names = [each for each in vars(loaded) if callable(getattr(loaded, each)) and not each.startswith("_")]
            cure = nearest(name, names) if names else "It has none."
            raise ConfigurationError(explain("The environment", f"a class or function of module {module!r}", id, cure))
        return Registration(id, id)

    if id in gymnasium.registry:
        return Registration(id, _make_gymnasium, {"id": id})
    family = str(id).partition("/")[0].replace("-", "_").lower()
    if family in BROKEN:
        raise ConfigurationError(explain("The environment id", "of a package that runs here", id, BROKEN[family]))
    raise ConfigurationError(
        explain("The environment id", "a registered one", id, f"{nearest(id, _REGISTRY)} See `masoft envs`.")
    )


def make(id: str, *, state: Any = "env", **kwargs: Any) -> Any:
    """Build a PettingZoo ``ParallelEnv`` from its id.

    Args:
        id: for example ``"mpe/simple_spread_v3"``; `registered` lists all; ``"module:Class"`` is one of your own.
        state: what `TeamEnv` takes as the environment's state, see there.
        **kwargs: passed to the environment.

    Raises:
        ConfigurationError: unknown id.
        MissingDependencyError: a needed package is absent; the message has the command that installs it.

    Example:
        >>> from masoft.envs import make
        >>> make("matrix/maxent").possible_agents
        ['agent_0', 'agent_1']
    """
    env = find(id).build(**kwargs)
    if state != "env":  # kept where wrappers find it; TeamEnv reads it there
        env.metadata = {**(getattr(env, "metadata", None) or {}), "state": state}
    return env


def _import_own(module: str, id: str) -> Any:
    """The user's module.

    Raises:
        ConfigurationError: it is not found, or raises while it is imported.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever the user's own lines raise
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            cure = "Go to the folder that has it, or add that folder to PYTHONPATH."
            must = f"'module:Class' with a module that Python finds; there is no {error.name!r}"
            raise ConfigurationError(explain("The environment", must, id, cure)) from error
        raise ConfigurationError(
            f"The module of environment {id!r} cannot be imported. It says {type(error).__name__}: {error}"
        ) from error


def _check_arguments(id: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a builder does not have.

    Raises:
        ConfigurationError: names the first, with those that there are.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a few built-in callables do not tell their arguments
    try:
        signature.bind(**arguments)
    except TypeError as error:
        known = [name for name in signature.parameters if name not in ("args", "kwargs")]
        unknown = [name for name in arguments if name not in known]
        cure = nearest(unknown[0], known) if unknown and known else ""
        which = f"The arguments of environment {id!r}"
        must = f"among {known}" if known else "none"
        raise ConfigurationError(explain(which, must, dict(arguments), f"It says: {error}. {cure}")) from error


def _make_gymnasium(**kwargs: Any) -> Any:
    import gymnasium

    from masoft.envs.gymnasium_team import GymnasiumTeam, is_team
    from masoft.envs.single_agent import SingleAgentTeam

    env = gymnasium.make(**kwargs)
    return GymnasiumTeam(env) if is_team(env) else SingleAgentTeam(env)


def _load(path: str) -> Callable[..., Any]:
    """The function that ``"module:function"`` names."""
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _is_there(name: str) -> bool:
    """Whether a package, or ``"package.part.of_it"``, can be imported; found without importing anything."""
    package, _, part = name.partition(".")
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    if not part:
        return spec is not None
    paths = [Path(folder, *part.split(".")) for folder in folders]
    return any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths)


def _described(missing: str) -> str:
    """The name of a missing package; where another one has its name, that is said."""
    package = missing.partition(".")[0]
    if package != missing and _is_there(package):
        return f"{missing} (another package is installed under the name {package!r}, or another version of it)"
    return missing


def _fill(entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        register(
            entry.id,
            entry.entry_point,
            kwargs=entry.kwargs,
            extra=entry.extra,
            requires=entry.requires,
            vector_entry_point=entry.vector_entry_point,
            install=entry.install,
        )


_fill(CATALOGUE)
