"""Policies with a hidden state: what each agent does follows from what it saw earlier in the episode, too."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from masoft.errors import ConfigurationError, explain
from masoft.functional.actions import to_environment
from masoft.networks.recurrent import Sequences
from masoft.policies.base import JointPolicy
from masoft.policies.memoryless import Choice
from masoft.policies.observations import (
    agent_observations,
    check_no_masks,
    episode_starts,
    is_team_observation,
    memory_array,
    split_by_agent,
)
from masoft.spec import ACTION_MASK

Memories = tuple[Tensor, ...]
"""What each agent remembers of each environment, (n, hidden_size) an agent; empty without memory."""


F = TypeVar("F", bound=Callable[..., None])


def extending(base: type) -> Callable[[F], F]:
    """Let a constructor that passes the rest on to ``base`` show all arguments, its own last.

    Args:
        base: the class whose constructor takes the rest.
    """

    def with_signature(constructor: F) -> F:
        *_, last = own = list(inspect.signature(constructor).parameters.values())
        assert last.kind is last.VAR_KEYWORD
        mine = [each for each in own if each.kind is each.KEYWORD_ONLY]
        theirs = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        constructor.__signature__ = inspect.Signature([*theirs, *mine])  # type: ignore[attr-defined]
        return constructor

    return with_signature


class RecurrentPolicy(JointPolicy, ABC):
    """Abstract: acting and predicting with actors that have a memory.

    Attributes:
        hidden_size: length of what each agent remembers.
    """

    hidden_size: int

    @abstractmethod
    def along(
        self, i: int, observation: Tensor, mask: Tensor | None, sequences: Sequences | None = None
    ) -> tuple[Choice, Tensor | None]:
        """Agent i's policy at the rows of a batch, and what it remembers after each step (steps, n, hidden_size).

        Args:
            i: the agent.
            observation: (batch, *shape).
            mask: its own action mask, (batch, mask_size), or None.
            sequences: how the rows form sequences.
        """

    def predict(  # type: ignore[override]
        self,
        observation: Mapping[str, Any],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: Mapping[str, np.ndarray] | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Actions and the new hidden state, as in sb3-contrib: pass the state on, and say where episodes start.

        Args:
            observation: what the joint environment gives, or one entry an agent; single or batched.
            state: what the last call returned; None: nothing has been seen yet.
            episode_start: (n,) booleans, true where an episode starts; None: nowhere.
            deterministic: use each policy's mode.
            action_masks: by agent, true where a choice is legal; only for the dict form.
            generator: source of the draws; None: PyTorch's own.

        Returns:
            ``(joint actions, state)`` for a team observation, ``(dict of actions, state)`` for a dict of agents. The
            state is a tuple of arrays (n, hidden_size), one an agent; in the dict form a dict of such arrays.

        Raises:
            ConfigurationError: an unknown agent, an observation of the wrong shape, a mask without a legal choice.
        """
        self.set_training_mode(False)
        if not is_team_observation(observation):
            return self._predict_by_agent(
                observation,
                self._by_agent(state),
                episode_start,
                deterministic,
                {} if action_masks is None else action_masks,
                generator,
            )
        check_no_masks(action_masks)
        batched, is_single = agent_observations(self.team, observation)
        n = len(batched[self.team.names[0]])
        if state is not None and not (isinstance(state, tuple | list) and len(state) == self.team.n_agents):
            must = f"the tuple of {self.team.n_agents} arrays that the last call returned, or None"
            raise ConfigurationError(explain("The state", must, state))
        memories = tuple(self._memory(part, n) for part in state or ())
        stored, memories = self._act(batched, memories, episode_starts(episode_start, n), deterministic, generator)
        joint = to_environment(self.team, stored)
        return (joint[0] if is_single else joint), tuple(part.cpu().numpy() for part in memories)

    @torch.no_grad()
    def _act(
        self,
        obs: Mapping[str, np.ndarray],
        memories: Memories,
        starts: np.ndarray,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[np.ndarray, Memories]:
        masks = obs.get(ACTION_MASK) if self.team.has_masks else None
        joint_mask = None if masks is None else torch.as_tensor(masks, device=self.device)
        parts, remembered = [], []
        for i, name in enumerate(self.team.names):
            values = torch.as_tensor(obs[name], device=self.device)
            mask = None if joint_mask is None else joint_mask[:, self.team.mask_slices[i]]
            memory = memories[i] if memories else None
            action, now = self._step(i, values, mask, memory, starts, deterministic, generator)
            parts.append(action.float())
            remembered.append(now)
        return torch.cat(parts, dim=-1).cpu().numpy(), tuple(remembered)

    def _step(
        self,
        i: int,
        observation: Tensor,
        mask: Tensor | None,
        memory: Tensor | None,
        starts: np.ndarray,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Agent i's action (n, size) and what it remembers afterwards (n, hidden_size)."""
        n = len(observation)
        if memory is None:
            memory = torch.zeros(n, self.hidden_size, device=self.device)
        if n == 0:
            return torch.zeros(0, self.team.agents[i].action.size, device=self.device), memory
        flags = torch.as_tensor(starts, device=self.device).view(1, n).float()
        policy: Choice
        policy, remembered = self.along(i, observation, mask, Sequences(flags, memory))
        assert remembered is not None
        return policy.mode() if deterministic else policy.sample(generator), remembered[-1]

    def _memory(self, values: object, n: int) -> Tensor:
        """What one agent remembers of n environments, as the caller passes it back."""
        return torch.as_tensor(memory_array(values, n, self.hidden_size), device=self.device)

    def _by_agent(self, state: Any) -> Mapping[str, np.ndarray]:
        """The state of the dict form, as the caller passes it back."""
        if state is None:
            return {}
        if not isinstance(state, Mapping) or not set(state) <= set(self.team.names):
            must = f"a dict of arrays with keys among {self.team.names}, as the last call returned it, or None"
            raise ConfigurationError(explain("The state", must, state))
        return state

    @torch.no_grad()
    def _predict_by_agent(
        self,
        observation: Mapping[str, Any],
        state: Mapping[str, np.ndarray],
        episode_start: np.ndarray | None,
        deterministic: bool,
        action_masks: Mapping[str, np.ndarray],
        generator: torch.Generator | None,
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        actions, memories = {}, dict(state)
        for entry in split_by_agent(self.team, observation, action_masks):
            values = torch.as_tensor(entry.values, device=self.device)
            mask = None if entry.mask is None else torch.as_tensor(entry.mask, device=self.device)
            n = len(values)
            memory = self._memory(state[entry.name], n) if entry.name in state else None
            starts = episode_starts(episode_start, n)
            chosen, now = self._step(entry.index, values, mask, memory, starts, deterministic, generator)
            actions[entry.name] = entry.to_environment(self.team, chosen.cpu().numpy())
            memories[entry.name] = now.cpu().numpy()
        return actions, memories

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        arrays = {name: values.cpu().numpy() for name, values in observation.items()}
        n = len(arrays[self.team.names[0]])
        return torch.as_tensor(self._act(arrays, (), np.ones(n, bool), deterministic, None)[0])
