"""Playing exported actors on onnxruntime. Nothing here imports torch or stable-baselines3."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from masoft.deploy.contract import ACTION, MASK, MEMORY, NEXT_MEMORY, OBSERVATION, Contract, read_contract
from masoft.errors import ConfigurationError, MissingDependencyError, ModelFileError, explain, nearest
from masoft.files.text import read_limited
from masoft.policies.observations import (
    agent_observations,
    check_no_masks,
    episode_starts,
    is_team_observation,
    memory_array,
    split_by_agent,
)
from masoft.spec import ACTION_MASK, AgentSpec, TeamSpec

MAX_ACTOR_BYTES = 2**31 - 1
"""What an ONNX file can hold."""
Ports = tuple[str, tuple[int, ...]]
_KINDS = {"float32": "float", "float64": "double", "float16": "float16"}


class DeployedTeam:
    """Exported actors of a team, or of some of its agents.

    Args:
        contract: what the files take and give.
        sessions: onnxruntime sessions by agent.
    """

    def __init__(self, contract: Contract, sessions: Mapping[str, Any]) -> None:
        self.contract = contract
        self._sessions = dict(sessions)

    @property
    def team(self) -> TeamSpec:
        """The team's specification: ``team.team.agents[i].action_space`` and so on."""
        return self.contract.team

    def predict(
        self,
        observation: Mapping[str, Any],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
        action_masks: Mapping[str, np.ndarray] | None = None,
    ) -> Any:
        """Actions for observations, in the form of the trained model's ``predict``.

        Args:
            observation: one entry an agent, single or batched (agents that are not asked for may be absent); or a
                team observation as the joint environment gives it.
            state: what the last call returned, for agents with a memory; None: nothing has been seen yet.
            episode_start: (n,) booleans, true where an episode starts and what was remembered is dropped.
            deterministic: must be true; what is exported is each policy's mode.
            action_masks: by agent, true where a choice is legal; only for teams with masks.

        Returns:
            a dict of actions, each in its agent's own space; for a team observation ``(joint actions, state)``; for
            agents with a memory ``(dict of actions, state)``.

        Raises:
            ConfigurationError: an unknown agent, a wrong shape, a mask without a legal choice or where none is used,
                or ``deterministic=False``.
        """
        if not deterministic:
            cure = "Exported actors hold each policy's mode; draw with the trained model."
            raise ConfigurationError(explain("deterministic", "true", deterministic, cure))
        if is_team_observation(observation):
            check_no_masks(action_masks)
            return self._predict_joint(observation, state, episode_start)
        masks = {} if action_masks is None else action_masks
        actions, memories = {}, self._by_agent(state)
        entries = [*split_by_agent(self.team, observation, masks)]
        self._check_masks(masks)
        for entry in entries:
            memory = self._memory(entry.index, memories.get(entry.name), episode_start, len(entry.values))
            action, memories[entry.name] = self._run(entry.index, entry.values, entry.mask, memory)
            # [()] makes a number of a Discrete agent's single action, as numpy's indexing does.
            actions[entry.name] = action[0][()] if entry.is_single else action
        return (actions, memories) if self.contract.remembers else actions

    def _predict_joint(self, observation: Mapping[str, Any], state: Any, starts: np.ndarray | None) -> Any:
        batched, is_single = agent_observations(self.team, observation)
        masks = batched.get(ACTION_MASK) if self.team.has_masks else None
        remembered: Sequence[Any] = (None,) * self.team.n_agents
        if self.contract.remembers and state is not None:
            if not (isinstance(state, tuple | list) and len(state) == self.team.n_agents):
                must = f"the tuple of {self.team.n_agents} arrays that the last call returned, or None"
                raise ConfigurationError(explain("The state", must, state))
            remembered = state
        parts, memories = [], []
        for i, agent in enumerate(self.team.agents):
            values = batched[agent.name]
            mask = None if masks is None or agent.action.is_box else masks[:, self.team.mask_slices[i]].astype(bool)
            memory = self._memory(i, remembered[i], starts, len(values))
            action, after = self._run(i, values, mask, memory)
            flat = action.reshape(len(values), agent.action.size)
            parts.append(flat if agent.action.is_box else flat - agent.action.start)
            memories.append(after)
        has_box = any(agent.action.is_box for agent in self.team.agents)
        joint = np.concatenate(parts, axis=-1).astype(np.float32 if has_box else np.int64)
        return (joint[0] if is_single else joint), tuple(memories) if self.contract.remembers else state

    def _run(
        self, i: int, values: np.ndarray, mask: np.ndarray | None, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Agent i's actions (n, *shape) and what it remembers afterwards (n, memory_size)."""
        agent = self.team.agents[i]
        if agent.name not in self._sessions:
            cure = f"Loaded: {', '.join(self._sessions)}."
            raise ConfigurationError(explain("The agent", "one that was loaded", agent.name, cure))
        if not len(values):  # onnxruntime's recurrent layers take no empty batch
            return np.zeros((0, *(agent.action_space.shape or ())), agent.action_space.dtype), memory
        ports = self.contract.inputs(agent)
        dtype = np.dtype(ports[OBSERVATION][0])
        feed = {OBSERVATION: np.ascontiguousarray(values, dtype=dtype)}
        if dtype == np.uint8 and not np.array_equal(feed[OBSERVATION], values):
            must = "whole numbers from 0 to 255, which its file takes"
            raise ConfigurationError(explain(f"The observation of agent {agent.name!r}", must, values))
        if MASK in ports:
            feed[MASK] = np.ones((len(values), *ports[MASK][1]), bool) if mask is None else np.ascontiguousarray(mask)
        if MEMORY not in ports:
            return self._sessions[agent.name].run([ACTION], feed)[0], memory
        feed[MEMORY] = memory
        action, after = self._sessions[agent.name].run([ACTION, NEXT_MEMORY], feed)
        return action, after

    def _memory(self, i: int, values: Any, starts: np.ndarray | None, n: int) -> np.ndarray:
        """What one agent remembers of n environments, zeros where episodes start."""
        size = self.contract.memory_of(self.team.agents[i])
        if not size:
            return np.zeros((n, 0), np.float32)
        memory = np.zeros((n, size), np.float32) if values is None else memory_array(values, n, size)
        return np.where(episode_starts(starts, n)[:, None], np.float32(0), memory)

    def _by_agent(self, state: Any) -> dict[str, Any]:
        """The state of the dict form, as the caller passes it back; without memory it means nothing."""
        if state is None or not self.contract.remembers:
            return {}
        if not isinstance(state, Mapping) or not set(state) <= set(self.team.names):
            must = f"a dict of arrays with keys among {self.team.names}, as the last call returned it, or None"
            raise ConfigurationError(explain("The state", must, state))
        return dict(state)

    def _check_masks(self, action_masks: Mapping[str, np.ndarray]) -> None:
        if action_masks and not self.team.has_masks:
            cure = "Its environment reported no masks when it was trained."
            raise ConfigurationError(explain("action_masks", "left out for this team", [*action_masks], cure))

    def __repr__(self) -> str:
        return f"DeployedTeam({self.contract.algorithm or 'a policy'}, agents={[*self._sessions]})"


def load(
    folder: str | Path,
    agents: Iterable[str] | None = None,
    *,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    threads: int = 1,
) -> DeployedTeam:
    """Load what ``model.export(folder)`` wrote.

    Args:
        folder: with ``team.json`` in it.
        agents: names of those that act here, for example the one that this robot is; None: all. Only their files
            need to be there.
        providers: onnxruntime's execution providers, best first.
        threads: CPU threads of each actor; small networks are fastest with one.

    Raises:
        ModelFileError: the folder holds no contract, or a file is missing or damaged.
        ConfigurationError: an unknown agent.
        MissingDependencyError: onnxruntime is not installed.

    Example:
        ``team = masoft.deploy.load("actors/"); actions = team.predict({"agent_0": observation})``
    """
    contract = read_contract(folder)
    names = contract.team.names if agents is None else tuple(agents)
    for name in names:
        if name not in contract.team.names:
            cure = nearest(name, contract.team.names)
            raise ConfigurationError(explain("An agent to load", "one of the team's", name, cure))
    sessions = {name: _session(Path(folder), contract, name, providers, threads) for name in names}
    return DeployedTeam(contract, sessions)


def _session(folder: Path, contract: Contract, name: str, providers: Sequence[str], threads: int) -> Any:
    """One agent's file as onnxruntime plays it, once it is known to be what the contract says."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError(
            "Exported actors run on onnxruntime, which is not installed. "
            'pip install "masoft[deploy]"; where they only play, pip install onnxruntime does'
        ) from None
    i = contract.team.names.index(name)
    path = folder / contract.files[i]
    if not path.is_file():
        raise ModelFileError(explain("An actor's file", "where its contract says", str(path)))
    content = read_limited(path, MAX_ACTOR_BYTES)
    if contract.sha256 and hashlib.sha256(content).hexdigest() != contract.sha256[i]:
        cure = "Export the team again, and copy its folder as a whole."
        raise ModelFileError(explain(f"{path}", "the file that its contract was written with", "another", cure))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong is raised
    try:
        # As bytes, so that a file cannot bring others in from the disk.
        session = onnxruntime.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelFileError(f"{path} cannot be run: {error}") from error
    agent = contract.team.agents[i]
    _compare(path, "inputs", session.get_inputs(), contract.inputs(agent))
    _compare(path, "outputs", session.get_outputs(), contract.outputs(agent))
    _try(path, session, contract, agent)
    return session


def _compare(path: Path, what: str, found: Sequence[Any], expected: Mapping[str, Ports]) -> None:
    """See that a file takes and gives what its contract says.

    Raises:
        ModelFileError: names the first port that differs.
    """
    names = {port.name: port for port in found}
    if set(names) != set(expected):
        raise ModelFileError(
            explain(f"The {what} of {path}", f"those of its contract, {sorted(expected)}", sorted(names))
        )
    for name, (dtype, shape) in expected.items():
        port, kind = names[name], _KINDS.get(dtype, dtype)
        sizes = port.shape or []
        fits = len(sizes) == len(shape) + 1 and all(
            not isinstance(size, int) or size == n for size, n in zip(sizes[1:], shape, strict=True)
        )
        if port.type != f"tensor({kind})" or (sizes and not fits):
            got = f"{port.type} of shape {sizes}"
            raise ModelFileError(explain(f"{name!r} of {path}", f"tensor({kind}) of shape {('batch', *shape)}", got))


def _try(path: Path, session: Any, contract: Contract, agent: AgentSpec) -> None:
    """Play a file once, so that one that cannot be played is refused here and not in the first episode."""
    feed = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in contract.inputs(agent).items()}
    if MASK in feed:
        feed[MASK][:] = True
    expected = contract.outputs(agent)
    try:
        given = dict(zip(expected, session.run([*expected], feed), strict=True))
    except Exception as error:
        raise ModelFileError(f"{path} cannot be played: {error}") from error
    for name, (dtype, shape) in expected.items():
        if given[name].shape != (1, *shape) or given[name].dtype != np.dtype(dtype):
            got = f"{given[name].dtype} of shape {given[name].shape}"
            raise ModelFileError(explain(f"{name!r} of {path}", f"{dtype} of shape {(1, *shape)}", got))
        if given[name].dtype.kind == "f" and not np.isfinite(given[name]).all():
            raise ModelFileError(explain(f"{name!r} of {path} for zeros", "finite", given[name].tolist()))
