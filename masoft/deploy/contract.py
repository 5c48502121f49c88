"""The contract of exported actors: what each file takes and gives, as JSON that a program in any language can read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

import masoft
from masoft.errors import MasoftError, ModelFileError, explain
from masoft.files.budget import Budget
from masoft.files.text import read_json
from masoft.spec import AgentSpec, TeamSpec, make_team_spec

FORMAT = 1
CONTRACT = "team.json"
MAX_ENTRIES = 2**22
"""Most entries that all spaces of a contract may have together: 64 pictures of 256 x 256."""
MAX_DIMENSIONS = 8
DTYPES = (
    "float32",
    "float64",
    "float16",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "bool",
)
OBSERVATION, MASK, MEMORY, ACTION, NEXT_MEMORY = "observation", "action_mask", "memory", "action", "next_memory"
"""Names of the inputs and outputs of each ONNX file."""


@dataclass(frozen=True)
class Contract:
    """What lies in a folder of exported actors.

    Args:
        team: the agents with their spaces (without state and views, which only training needs).
        files: name of each agent's file, in team order.
        memory_sizes: length of what each agent remembers, 0: nothing; empty: nobody remembers.
        algorithm: name of the class that trained the team.
        masoft: version that wrote the files.
        sha256: checksum of each file, in team order; empty: written before there were any.
    """

    team: TeamSpec
    files: tuple[str, ...]
    memory_sizes: tuple[int, ...] = ()
    algorithm: str = ""
    masoft: str = masoft.__version__
    sha256: tuple[str, ...] = ()

    @property
    def remembers(self) -> bool:
        """Whether an agent remembers anything."""
        return any(self.memory_sizes)

    def memory_of(self, agent: AgentSpec) -> int:
        """Length of what one agent remembers."""
        return self.memory_sizes[self.team.names.index(agent.name)] if self.memory_sizes else 0

    def inputs(self, agent: AgentSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Inputs of one agent's file: name -> (element type, shape without the batch)."""
        dtype = "uint8" if agent.observation_space.dtype == np.uint8 else "float32"
        found: dict[str, tuple[str, tuple[int, ...]]] = {OBSERVATION: (dtype, agent.observation_shape)}
        if has_mask_input(self.team, agent):
            found[MASK] = ("bool", (agent.action.mask_size,))
        if self.memory_of(agent):
            found[MEMORY] = ("float32", (self.memory_of(agent),))
        return found

    def outputs(self, agent: AgentSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Outputs of one agent's file: name -> (element type, shape without the batch)."""
        space = agent.action_space
        found: dict[str, tuple[str, tuple[int, ...]]] = {ACTION: (str(np.dtype(space.dtype)), tuple(space.shape or ()))}
        if self.memory_of(agent):
            found[NEXT_MEMORY] = ("float32", (self.memory_of(agent),))
        return found

    def to_json(self) -> str:
        """The contract as text."""
        agents = [
            {
                "name": agent.name,
                "file": file,
                "inputs": _ports(self.inputs(agent)),
                "outputs": _ports(self.outputs(agent)),
                "observation_space": space_to_json(agent.observation_space),
                "action_space": space_to_json(agent.action_space),
            }
            for agent, file in zip(self.team.agents, self.files, strict=True)
        ]
        for entry, digest in zip(agents, self.sha256, strict=False):
            entry["sha256"] = digest
        content = {
            "format": FORMAT,
            "masoft": self.masoft,
            "algorithm": self.algorithm,
            "has_masks": self.team.has_masks,
            "hidden_size": max(self.memory_sizes, default=0),
            "memory_sizes": [*self.memory_sizes],
            "agents": agents,
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"


def has_mask_input(team: TeamSpec, agent: AgentSpec) -> bool:
    """Whether the agent's file takes an action mask: in a team with masks, every agent that chooses."""
    return team.has_masks and not agent.action.is_box


def read_contract(folder: str | Path) -> Contract:
    """The contract of a folder of exported actors.

    Raises:
        ModelFileError: there is none, or it is damaged, or of a later version.
    """
    path = Path(folder) / CONTRACT
    if not path.is_file():
        cure = "Write one with model.export(folder)."
        raise ModelFileError(explain("The folder of exported actors", f"one with {CONTRACT} in it", str(folder), cure))
    try:
        return _parse(read_json(path))
    except MasoftError as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, AssertionError, IndexError) as error:
        raise ModelFileError(f"{path} is incomplete or damaged: {error!r}") from error


def _parse(content: dict[str, Any]) -> Contract:
    if content["format"] != FORMAT:
        cure = "It was written by a later version of masoft: upgrade."
        raise ModelFileError(explain("Its format", f"{FORMAT}", content["format"], cure))
    entries = content["agents"]
    names = [entry["name"] for entry in entries]
    if len(set(names)) != len(names):
        raise ModelFileError(explain("Its agents", "of different names", names))
    if not all(isinstance(name, str) for name in names):
        raise ModelFileError(explain("The names of its agents", "strings", names))
    budget = Budget(MAX_ENTRIES)
    memory_sizes = _memory_sizes(content, len(entries), budget)
    team = make_team_spec(
        {entry["name"]: space_from_json(entry["observation_space"], budget) for entry in entries},
        {entry["name"]: space_from_json(entry["action_space"], budget) for entry in entries},
        has_masks=bool(content["has_masks"]),
    )
    files = tuple(str(entry["file"]) for entry in entries)
    for file in files:
        if not re.fullmatch(r"[\w.-]+\.onnx", file):
            raise ModelFileError(explain("A file that it names", "a plain name that ends in .onnx", file))
    sums = [entry["sha256"] for entry in entries if "sha256" in entry]
    if len(sums) not in (0, len(entries)) or not all(isinstance(each, str) for each in sums):
        raise ModelFileError(explain("The checksums that it lists", "one a file, or none", sums))
    return Contract(team, files, memory_sizes, str(content["algorithm"]), str(content["masoft"]), tuple(sums))


def _memory_sizes(content: dict[str, Any], n_agents: int, budget: Budget) -> tuple[int, ...]:
    """One length an agent; contracts of earlier versions have one for all."""
    hidden_size = budget.take(content["hidden_size"], least=0)
    sizes = content.get("memory_sizes", [hidden_size] * n_agents if hidden_size else [])
    if not isinstance(sizes, list) or len(sizes) not in (0, n_agents):
        raise ModelFileError(explain("Its memory_sizes", f"a list of {n_agents} numbers, or an empty one", sizes))
    return tuple(budget.take(size, least=0) for size in sizes)


def space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """One space as plain JSON; bounds that are the same everywhere are one number, infinite ones are strings."""
    if isinstance(space, spaces.Box):
        bounds = {"low": _bound(space.low), "high": _bound(space.high)}
        return {"kind": "Box", "dtype": str(space.dtype), "shape": list(space.shape), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        parts = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        return {"kind": "MultiDiscrete", "dtype": str(space.dtype), **parts}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "shape": list(space.shape)}
    raise ModelFileError(explain("A space to be exported", "a Box, Discrete, MultiDiscrete or MultiBinary", space))


def space_from_json(values: dict[str, Any], budget: Budget | None = None) -> spaces.Space[Any]:
    """The space that `space_to_json` described.

    Args:
        values: the description.
        budget: what entries it may claim; None: as many as a whole contract.

    Raises:
        ModelFileError: an unknown kind, or a size that is none or too large.
        KeyError, TypeError, ValueError: it is incomplete.
    """
    kind, budget = values["kind"], budget or Budget(MAX_ENTRIES)
    if kind == "Box":
        shape, dtype = _shape(values["shape"], budget), _dtype(values["dtype"])
        low, high = (np.broadcast_to(_numbers(values[key], dtype), shape) for key in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(budget.take(values["n"]), start=int(values["start"]))
    if kind == "MultiDiscrete":
        dtype = _dtype(values["dtype"])
        nvec = np.array(values["nvec"], np.int64)
        for n in nvec.reshape(-1).tolist():
            budget.take(n)
        return spaces.MultiDiscrete(nvec.astype(dtype), dtype.type, start=np.array(values["start"], dtype))
    if kind == "MultiBinary":
        shape = _shape(values["shape"], budget)
        return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
    raise ModelFileError(explain("The kind of a space", "Box, Discrete, MultiDiscrete or MultiBinary", kind))


def _shape(values: Any, budget: Budget) -> tuple[int, ...]:
    """A shape whose entries the budget has; each size of it is paid for, so that no product grows beyond it first."""
    if not isinstance(values, list) or len(values) > MAX_DIMENSIONS:
        raise ModelFileError(explain("A shape", f"a list of at most {MAX_DIMENSIONS} sizes", values))
    for n in values:
        budget.take(n, least=0)
    budget.take(math.prod(values), least=0)
    return tuple(values)


def _dtype(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or name not in DTYPES:
        raise ModelFileError(explain("The element type of a space", f"one of {DTYPES}", name))
    return np.dtype(name)


def _bound(values: np.ndarray) -> Any:
    flat = values.reshape(-1)
    if flat.size and (flat == flat[0]).all():
        return _plain(flat[0].item())
    return [_plain(value) for value in flat.tolist()] if values.ndim <= 1 else [_bound_row(row) for row in values]


def _bound_row(values: np.ndarray) -> Any:
    return [_plain(v) for v in values.tolist()] if values.ndim == 1 else [_bound_row(row) for row in values]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(values: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers, and the strings "inf" and "-inf", as an array."""
    array = np.asarray(values)
    return array.astype(np.float64).astype(dtype) if array.dtype.kind == "U" else array.astype(dtype)


def _ports(ports: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    return {name: {"dtype": dtype, "shape": ["batch", *shape]} for name, (dtype, shape) in ports.items()}
