"""Policies without a hidden state: what each agent does follows from what it sees now."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from masoft.fast import is_plain
from masoft.functional.actions import box_to_unit, to_environment
from masoft.policies.base import JointPolicy
from masoft.policies.observations import agent_observations, check_no_masks, is_team_observation, split_by_agent
from masoft.policies.together import Ensemble, ensembles
from masoft.spec import ACTION_MASK


class Choice(Protocol):
    """What an actor says about a batch of observations; `SquashedGaussian` and `Categoricals` are such."""

    def mode(self) -> Tensor:
        """The action when acting deterministically, (batch, size)."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """An action, (batch, size)."""
        ...


class MemorylessPolicy(JointPolicy, ABC):
    """Abstract: acting and predicting with actors ``actors[i](observation, mask) -> Choice``."""

    _ensembles: tuple[Ensemble, ...] | None = None

    def forget_groups(self) -> None:
        self._ensembles = None

    @abstractmethod
    def distribution(self, i: int, observation: Tensor, masks: Tensor | None = None) -> Choice:
        """Agent i's policy at its observations (batch, *shape); ``masks`` is the joint mask (batch, mask_size)."""

    def get_distribution(self, observation: Mapping[str, Any]) -> dict[str, Choice]:
        """Each agent's policy at a team observation of tensors or arrays (n, ...), by name."""
        seen, _ = self.obs_to_tensor(observation)
        masks = seen.get(ACTION_MASK) if self.team.has_masks else None
        return {name: self.distribution(i, seen[name], masks) for i, name in enumerate(self.team.names)}

    def act(
        self, obs: Mapping[str, np.ndarray], deterministic: bool = False, generator: torch.Generator | None = None
    ) -> np.ndarray:
        """Joint actions for batched team observations.

        Returns:
            (n, action_size): Box entries in [-1, 1], categorical parts as choice numbers.
        """
        masks = obs.get(ACTION_MASK) if self.team.has_masks else None
        joint_mask = None if masks is None else torch.as_tensor(masks, device=self.device)
        if self._ensembles is None:
            helps = getattr(type(self).distribution, "asks_actor_alone", False) and not is_plain()
            self._ensembles = ensembles(self.team, [*self.actors]) if helps else ()
        parts: dict[int, np.ndarray] = {}
        for some in self._ensembles:
            parts.update(zip(some.members, some.act(obs, joint_mask, deterministic, generator), strict=True))
        for i, name in enumerate(self.team.names):
            if i not in parts:
                with torch.inference_mode():
                    policy: Choice = self.distribution(i, torch.as_tensor(obs[name], device=self.device), joint_mask)
                    parts[i] = (policy.mode() if deterministic else policy.sample(generator)).cpu().numpy()
        return np.concatenate([parts[i] for i in range(len(parts))], axis=-1, dtype=np.float32, casting="unsafe")

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
            observation: either what the joint environment gives, single or batched: then the result is
                ``(joint actions, state)``; or one entry an agent, single or batched: then it is a dict of actions.
            state: passed through; there is no hidden state.
            episode_start: ignored; there is no hidden state.
            deterministic: use each policy's mode.
            action_masks: by agent, true where a choice is legal; only for the dict form.
            generator: source of the draws; None: PyTorch's own.

        Raises:
            ConfigurationError: an unknown agent, an observation of the wrong shape, a mask without a legal choice.
        """
        self.set_training_mode(False)
        if is_team_observation(observation):
            check_no_masks(action_masks)
            batched, is_single = agent_observations(self.team, observation)
            joint = to_environment(self.team, self.act(batched, deterministic, generator))
            return (joint[0] if is_single else joint), state
        return self._predict_by_agent(
            observation, deterministic, {} if action_masks is None else action_masks, generator
        )

    @torch.no_grad()
    def log_prob(
        self,
        observation: Mapping[str, Any],
        actions: Mapping[str, Any],
        action_masks: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """Log-probability of each agent's action, for a Box a density in the environment's own units.

        Args:
            observation: one entry an agent, single or batched.
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

    @torch.no_grad()
    def _predict_by_agent(
        self,
        observation: Mapping[str, Any],
        deterministic: bool,
        action_masks: Mapping[str, np.ndarray],
        generator: torch.Generator | None,
    ) -> dict[str, Any]:
        actions = {}
        for entry in split_by_agent(self.team, observation, action_masks):
            values = torch.as_tensor(entry.values, device=self.device)
            mask = None if entry.mask is None else torch.as_tensor(entry.mask, device=self.device)
            policy: Choice = self.actors[entry.index](values, mask)
            chosen = policy.mode() if deterministic else policy.sample(generator)
            actions[entry.name] = entry.to_environment(self.team, chosen.cpu().numpy())
        return actions

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        arrays = {name: values.cpu().numpy() for name, values in observation.items()}
        return torch.as_tensor(self.act(arrays, deterministic))
