"""What every team's policy offers to the algorithms and to people, whatever networks it is made of."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from masoft import habits
from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import box_to_unit, to_environment
from masoft.policies.acting import ActingPolicy
from masoft.policies.observations import (
    agent_observations,
    check_no_masks,
    episode_starts,
    is_team_observation,
    memory_array,
    split_by_agent,
)
from masoft.spec import AgentSpec, TeamSpec

M = TypeVar("M", bound=nn.Module)


class JointPolicy(ActingPolicy, ABC):
    """Abstract: a team's policy in the form that stable-baselines3 expects."""

    @property
    def takes_tagged_rows(self) -> bool:
        """Whether ``distribution`` also takes an observation as `TaggedRows`."""
        return False

    def __getattr__(self, name: str) -> Any:
        modules: dict[str, Any] = vars(self).get("_modules", {})
        if name in modules:
            return modules[name]
        if name in habits.POLICY:
            raise habits.absent(type(self).__name__, name, habits.POLICY)
        return super().__getattr__(name)

    def obs_to_tensor(self, observation: Mapping[str, Any]) -> tuple[dict[str, Tensor], bool]:  # type: ignore[override]
        """A team observation as tensors (n, ...) on the policy's device, and whether it was a batch.

        Raises:
            ConfigurationError: an agent is missing, or its observation has the wrong shape or is not finite.
        """
        batched, is_single = agent_observations(self.team, observation)
        return {name: torch.as_tensor(values, device=self.device) for name, values in batched.items()}, not is_single

    def predict(  # type: ignore[override]
        self,
        observation: Mapping[str, Any],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: Mapping[str, np.ndarray] | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Actions for a team observation (SB3's form) or for a dict of agents' own observations.

        Args:
            observation: either what the joint environment gives, single or batched; or one entry an agent, single or
                batched.
            state: what the last call returned, for agents that remember (as in sb3-contrib); None: nothing has been
                seen yet. Without memory it is passed through.
            episode_start: (n,) booleans, true where an episode starts; None: nowhere. Only memories ask for it.
            deterministic: use each policy's mode.
            action_masks: by agent, true where a choice is legal; only for the dict form.
            generator: source of the draws; None: PyTorch's own.

        Returns:
            ``(joint actions, state)`` for a team observation; for a dict of agents a dict of actions, and with memory
            ``(dict of actions, state)``. The state is a tuple of arrays (n, memory_size), one an agent; in the dict
            form a dict of such arrays.

        Raises:
            ConfigurationError: an unknown agent, an observation of the wrong shape, a mask without a legal choice.
        """
        self.set_training_mode(False)
        if is_team_observation(observation):
            check_no_masks(action_masks)
            return self._predict_joint(observation, state, episode_start, deterministic, generator)
        masks = {} if action_masks is None else action_masks
        actions, memories = self._predict_by_agent(observation, state, episode_start, deterministic, masks, generator)
        return (actions, memories) if self.remembers else actions

    def _predict_joint(
        self,
        observation: Mapping[str, Any],
        state: Any,
        starts: np.ndarray | None,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[np.ndarray, Any]:
        batched, is_single = agent_observations(self.team, observation)
        n, flags = len(batched[self.team.names[0]]), None
        memories: tuple[Tensor, ...] = ()
        if self.remembers:
            flags = episode_starts(starts, n)
            if state is not None and not (isinstance(state, tuple | list) and len(state) == self.team.n_agents):
                must = f"the tuple of {self.team.n_agents} arrays that the last call returned, or None"
                raise ConfigurationError(explain("The state", must, state))
            memories = tuple(self._memory(part, n, i) for i, part in enumerate(state or ()))
        stored, memories = self.act_on(batched, memories, flags, deterministic, generator)
        joint = to_environment(self.team, stored)
        after = tuple(part.cpu().numpy() for part in memories) if self.remembers else state
        return (joint[0] if is_single else joint), after

    @torch.no_grad()
    def _predict_by_agent(
        self,
        observation: Mapping[str, Any],
        state: Any,
        starts: np.ndarray | None,
        deterministic: bool,
        action_masks: Mapping[str, np.ndarray],
        generator: torch.Generator | None,
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        actions, memories, sizes = {}, self._by_agent(state), self.memory_sizes
        for entry in split_by_agent(self.team, observation, action_masks):
            i, n = entry.index, len(entry.values)
            values = torch.as_tensor(entry.values, device=self.device)
            mask = None if entry.mask is None else torch.as_tensor(entry.mask, device=self.device)
            if sizes[i]:
                memory = self._memory(memories[entry.name], n, i) if entry.name in memories else None
                flags = episode_starts(starts, n)
                chosen, now = self.step(i, values, mask, memory, flags, deterministic, generator)
                memories[entry.name] = now.cpu().numpy()
            else:
                policy: Any = self.actors[i](values, mask)
                chosen = policy.mode() if deterministic else policy.sample(generator)
            actions[entry.name] = entry.to_environment(self.team, chosen.cpu().numpy())
        return actions, memories

    @torch.no_grad()
    def log_prob(
        self,
        observation: Mapping[str, Any],
        actions: Mapping[str, Any],
        action_masks: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """Log-probability of each agent's action, for a Box a density in the environment's own units.

        Args:
            observation: one entry an agent, single or batched; for who remembers, at a first step.
            actions: one entry an agent, in its own space, batched like its observation.
            action_masks: by agent, true where a choice is legal.

        Returns:
            by agent, (n,), nats.
        """
        answer = {}
        for entry in split_by_agent(self.team, observation, {} if action_masks is None else action_masks):
            spec = self.team.agents[entry.index].action
            mask = None if entry.mask is None else torch.as_tensor(entry.mask, device=self.device)
            policy: Any = self.actors[entry.index](torch.as_tensor(entry.values, device=self.device), mask)
            native = np.asarray(actions[entry.name]).reshape(len(entry.values), spec.size)
            inner = box_to_unit(spec, native) if spec.is_box else native - spec.start
            log_prob = policy.log_prob(torch.as_tensor(inner, device=self.device)).cpu().numpy()
            stretch = np.log((spec.high - spec.low) / 2).sum() if spec.is_box else 0.0
            answer[entry.name] = log_prob - stretch
        return answer

    def _memory(self, values: object, n: int, i: int) -> Tensor:
        """What agent i remembers of n environments, as the caller passes it back."""
        return torch.as_tensor(memory_array(values, n, self.memory_sizes[i]), device=self.device)

    def _by_agent(self, state: Any) -> dict[str, np.ndarray]:
        """The state of the dict form, as the caller passes it back; without memory it means nothing."""
        if state is None or not self.remembers:
            return {}
        if not isinstance(state, Mapping) or not set(state) <= set(self.team.names):
            must = f"a dict of arrays with keys among {self.team.names}, as the last call returned it, or None"
            raise ConfigurationError(explain("The state", must, state))
        return dict(state)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        arrays = {name: values.cpu().numpy() for name, values in observation.items()}
        return torch.as_tensor(self.act(arrays, deterministic))

    def save(self, path: str) -> None:
        """Refused: a policy is saved with its model.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"A team's policy is saved with its model: model.save({str(path)!r}).")

    @classmethod
    def load(cls, path: str, device: torch.device | str = "auto") -> Any:
        """Refused: a policy is loaded with its model.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"A team's policy is loaded with its model: HASAC.load({str(path)!r}).policy.")

    def sharing_table(self) -> str:
        """Which agent uses which network, one line an agent."""
        known: list[int] = []
        lines = []
        for agent, actor in zip(self.team.agents, self.actors, strict=True):
            if id(actor) not in known:
                known.append(id(actor))
            n_parameters = sum(p.numel() for p in actor.parameters())
            lines.append(
                f"  {agent.name}: actor {known.index(id(actor))} ({n_parameters:,} parameters), "
                f"observes {agent.observation_shape}, acts in {agent.action_space}"
            )
        return "\n".join(lines)


def one_an_agent(team: TeamSpec, share: bool, build: Callable[[AgentSpec], M]) -> tuple[M, ...]:
    """One module an agent, in team order; agents of equal spaces get the same one where they share.

    Args:
        team: the team's specification.
        share: whether agents of equal spaces share.
        build: makes the module of an agent.
    """
    built: list[tuple[AgentSpec, M]] = []
    modules = []
    for agent in team.agents:
        same = (module for other, module in built if share and _same_spaces(agent, other))
        module = next(same, None)
        if module is None:
            module = build(agent)
            built.append((agent, module))
        modules.append(module)
    return tuple(modules)


def _same_spaces(one: AgentSpec, other: AgentSpec) -> bool:
    return bool(one.observation_space == other.observation_space and one.action_space == other.action_space)
