"""What a study consists of: plain records, read from TOML or written in Python."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import masoft
from masoft.errors import ConfigurationError, explain, nearest
from masoft.files import folder_name
from masoft.files.text import MAX_JSON_BYTES, read_limited

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


MAX_VARIANTS = 100_000
"""Most combinations of a grid: more are a slip of the pen."""


@dataclass(frozen=True)
class Variant:
    """An algorithm with its settings.

    Args:
        algorithm: name of the class, for example ``"HASAC"``.
        label: its name in pictures; empty: the algorithm's.
        parameters: constructor arguments; parts may be text, like ``"KLDrift(0.5)"``.
        grid: argument -> values to try; each combination becomes a variant of its own.
        n_envs: copies of the environment that it learns in; None: as many as the study says.
    """

    algorithm: str
    label: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Any] = field(default_factory=dict)
    n_envs: int | None = None

    def __post_init__(self) -> None:
        _check_texts(self, ("algorithm", "label"))
        _check_mappings(self, ("parameters", "grid"))
        if self.n_envs is not None:
            _check_count(f"n_envs of {self.label or self.algorithm}", self.n_envs)
        for name, values in self.grid.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise ConfigurationError(explain(f"{name} of the grid", "a list of values", values))
        n = math.prod(len(tuple(values)) for values in self.grid.values())
        if n > MAX_VARIANTS:
            raise ConfigurationError(explain("The grid", f"one of at most {MAX_VARIANTS:,} combinations", n))

    def expand(self) -> tuple[Variant, ...]:
        """One variant for each combination of the grid's values."""
        label = self.label or self.algorithm
        found = []
        for values in itertools.product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            suffix = "".join(f" {name}={value}" for name, value in chosen.items())
            parameters = {**self.parameters, **chosen}
            found.append(Variant(self.algorithm, label + suffix, parameters, n_envs=self.n_envs))
        return tuple(found)


@dataclass(frozen=True)
class Task:
    """An environment.

    Args:
        env: its id.
        kwargs: its arguments.
        label: its name in pictures; empty: the id.
        scale: returns that count as 0 and 1 where tasks are put together; None: it is shown by itself only.
    """

    env: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check_texts(self, ("env", "label"))
        _check_mappings(self, ("kwargs",))
        scale = self.scale
        if scale is not None and not (
            isinstance(scale, list | tuple) and len(scale) == 2
            and all(isinstance(x, int | float) and math.isfinite(x) for x in scale) and scale[0] != scale[1]
        ):  # fmt: skip
            raise ConfigurationError(explain("scale of an environment", "two numbers that differ, or None", scale))

    @property
    def name(self) -> str:
        """The label, or the id."""
        return self.label or self.env


@dataclass(frozen=True)
class Run:
    """One training run: everything that its result depends on.

    Args:
        variant, task, seed: what is run where.
        total_timesteps: environment steps.
        n_envs: copies of the environment.
        eval_every: environment steps between evaluations; one more is made at the end.
        eval_episodes: episodes of an evaluation.
        eval_envs: copies of the environment in which they are played.
    """

    variant: Variant
    task: Task
    seed: int
    total_timesteps: int
    n_envs: int
    eval_every: int
    eval_episodes: int
    eval_envs: int = 1

    def settings(self) -> dict[str, Any]:
        """As plain data, without what only pictures use."""
        later = {"eval_envs": self.eval_envs} if self.eval_envs > 1 else {}  # folders made before it keep their names
        return later | {
            "algorithm": self.variant.algorithm,
            "parameters": dict(self.variant.parameters),
            "env": self.task.env,
            "env_kwargs": dict(self.task.kwargs),
            "seed": self.seed,
            "total_timesteps": self.total_timesteps,
            "n_envs": self.n_envs,
            "eval_every": self.eval_every,
            "eval_episodes": self.eval_episodes,
        }

    @property
    def key(self) -> str:
        """Name of the run's folder: readable, and different whenever a setting is."""
        digest = hashlib.sha256(json.dumps(self.settings(), sort_keys=True, default=repr).encode()).hexdigest()
        readable = folder_name(f"{self.variant.label or self.variant.algorithm}-{self.task.name}")
        return f"{readable}-s{self.seed}-{digest[:10]}"


@dataclass(frozen=True)
class Study:
    """Algorithms x environments x seeds.

    Args:
        algorithms: at least one; a plain name stands for a `Variant` without settings.
        environments: at least one; a plain id stands for a `Task`.
        seeds: at least one.
        total_timesteps: environment steps of each run.
        n_envs: copies of the environment that are stepped together.
        eval_every: environment steps between evaluations; None: twenty in all.
        eval_episodes: episodes of an evaluation.
        eval_envs: copies of the environment in which they are played; as many as ``n_envs`` suit batched simulators,
            which compile each number anew.

    Raises:
        ConfigurationError: an unknown algorithm, an empty list, a number out of range, or two variants of one name.

    Example:
        >>> from masoft.studies import Study
        >>> study = Study(["HASAC", "MASAC"], ["matrix/maxent"], seeds=[0, 1, 2], total_timesteps=3_000)
        >>> len(study.runs)
        6
    """

    algorithms: tuple[Variant | str, ...] | list[Variant | str]
    environments: tuple[Task | str, ...] | list[Task | str]
    seeds: tuple[int, ...] | list[int]
    total_timesteps: int
    n_envs: int = 1
    eval_every: int | None = None
    eval_episodes: int = 10
    eval_envs: int = 1

    def __post_init__(self) -> None:
        for name in ("algorithms", "environments", "seeds"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
                raise ConfigurationError(explain(f"{name} of the study", "a list of one or more", value))
        for name in ("total_timesteps", "n_envs", "eval_every", "eval_episodes", "eval_envs"):
            value = getattr(self, name)
            if value is not None or name != "eval_every":
                _check_count(f"{name} of the study", value)
        _check_seeds(self.seeds)
        for variant in self.variants:
            if variant.algorithm not in masoft.ALGORITHMS:
                cure = nearest(variant.algorithm, masoft.ALGORITHMS)
                raise ConfigurationError(explain("An algorithm of the study", "a known one", variant.algorithm, cure))
        for what, names in (
            ("algorithms", [variant.label for variant in self.variants]),
            ("environments", [task.name for task in self.tasks]),
        ):
            if len(set(names)) < len(names):
                cure = "Give each its own label."
                raise ConfigurationError(explain(f"The {what} of the study", "of different names", names, cure))

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All algorithms with their grids expanded."""
        given = (Variant(each) if isinstance(each, str) else each for each in self.algorithms)
        return tuple(itertools.chain.from_iterable(each.expand() for each in given))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All environments."""
        return tuple(Task(each) if isinstance(each, str) else each for each in self.environments)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run; seeds vary slowest, so that an interrupted study has something of everything."""
        every = self.eval_every or max(self.total_timesteps // 20, 1)
        return tuple(
            Run(
                variant,
                task,
                seed,
                self.total_timesteps,
                variant.n_envs or self.n_envs,
                every,
                self.eval_episodes,
                self.eval_envs,
            )
            for seed, task, variant in itertools.product(self.seeds, self.tasks, self.variants)
        )


def read_study(path: str | Path) -> Study:
    """A study from TOML; see the how-to page for the form.

    Raises:
        ConfigurationError: no such file, no TOML, an unknown key, or a study that cannot be.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(explain("The study", "an existing TOML file", str(path)))
    try:
        content = tomllib.loads(read_limited(path, MAX_JSON_BYTES).decode())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
    for name in ("algorithms", "environments"):
        if not isinstance(content.get(name, []), list):
            raise ConfigurationError(explain(f"{path}: {name}", "a list of one or more", content[name]))
    content["algorithms"] = [_record(Variant, each, f"{path}: algorithms") for each in content.get("algorithms", ())]
    content["environments"] = [_record(Task, each, f"{path}: environments") for each in content.get("environments", ())]
    study: Study = _record(Study, content, str(path))
    return study


def _check_count(which: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(explain(which, "an integer >= 1", value))


def _check_seeds(seeds: Iterable[Any]) -> None:
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ConfigurationError(explain("A seed of the study", "an integer >= 0", seed))


def _check_texts(record: Any, names: Iterable[str]) -> None:
    for name in names:
        if not isinstance(getattr(record, name), str):
            raise ConfigurationError(explain(f"{name} in the study", "text", getattr(record, name)))


def _check_mappings(record: Any, names: Iterable[str]) -> None:
    for name in names:
        if not isinstance(getattr(record, name), Mapping):
            raise ConfigurationError(
                explain(f"{name} in the study", "a table of names and values", getattr(record, name))
            )


def _record(kind: Any, values: Any, where: str) -> Any:
    """A record from a table, its keys checked; a plain string stays one."""
    if isinstance(values, str) and kind is not Study:
        return values
    if not isinstance(values, Mapping):
        raise ConfigurationError(explain(f"{where}: an entry", "a table or a name", values))
    known = [each.name for each in fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigurationError(explain(f"{where}: the key", "known", key, nearest(key, known)))
    if isinstance(values.get("scale"), list):
        values = {**values, "scale": tuple(values["scale"])}
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {str(error).partition(' ')[2]}.") from error
