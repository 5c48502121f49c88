"""How a team acts: each agent by its own actor, which may remember what it saw earlier in the episode."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from masoft import habits
from masoft.errors import ConfigurationError, explain
from masoft.fast import is_plain
from masoft.networks.torso import Sequences
from masoft.networks.walk import Walk, WalkOn
from masoft.policies.together import Ensemble, asks_actor_alone, ensembles
from masoft.spec import ACTION_MASK, TeamSpec

Memories = tuple[Tensor, ...]
"""What each agent remembers of each environment, (n, memory_size) an agent; empty without memory."""


class Choice(Protocol):
    """What an actor says about a batch of observations; `SquashedGaussian` and `Categoricals` are such."""

    def mode(self) -> Tensor:
        """The action when acting deterministically, (batch, size)."""
        ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """An action, (batch, size)."""
        ...


class ActingPolicy(BasePolicy, ABC):
    """Abstract: a team of actors.

    Attributes:
        team: the team's specification.
        actors: one module an agent; agents that share an actor have the same one.
        recorded: acts in the policy's place from a recording, see `RecordedActing`; None: it acts by itself.
    """

    team: TeamSpec
    actors: nn.ModuleList
    _ensembles: tuple[Ensemble, ...] | None = None
    recorded: Any = None

    @property
    def memory_sizes(self) -> tuple[int, ...]:
        """Length of what each agent remembers; 0: nothing."""
        return tuple(getattr(actor, "memory_size", 0) for actor in self.actors)

    @property
    def remembers(self) -> bool:
        """Whether an agent remembers anything."""
        return any(self.memory_sizes)

    @asks_actor_alone
    def distribution(self, i: int, observation: Tensor | Walk | WalkOn, masks: Tensor | None = None) -> Any:
        """Agent i's policy at its observations (batch, *shape); ``masks`` is the joint mask (batch, mask_size).

        Who remembers sees a first step, or a `Walk` to the steps in question.
        """
        return self.actors[i](observation, self.own_mask(i, masks))

    def along(
        self, i: int, observation: Tensor, mask: Tensor | None, sequences: Sequences | None = None
    ) -> tuple[Any, Tensor | None]:
        """Agent i's policy at the rows of a batch, and what it remembers after each step (steps, n, memory_size).

        Args:
            i: the agent.
            observation: (batch, *shape).
            mask: its own action mask, (batch, mask_size), or None.
            sequences: how the rows form sequences; only where there is memory.
        """
        return self.actors[i].along(observation, mask, sequences)  # type: ignore[operator, no-any-return]

    def own_mask(self, i: int, masks: Tensor | None) -> Tensor | None:
        """Agent i's part of the joint mask."""
        return None if masks is None else masks[:, self.team.mask_slices[i]]

    def get_distribution(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """Each agent's policy at a team observation of tensors or arrays (n, ...), by name.

        Raises:
            ConfigurationError: an agent remembers, so that its policy depends on more.
        """
        if self.remembers:
            cure = f"Agents with a memory need their past: {habits.PAST}."
            raise ConfigurationError(
                explain("The policy of get_distribution", "one without memory", self.memory_sizes, cure)
            )
        seen: Any = self.obs_to_tensor(observation)[0]  # type: ignore[arg-type]
        masks = seen.get(ACTION_MASK) if self.team.has_masks else None
        return {name: self.distribution(i, seen[name], masks) for i, name in enumerate(self.team.names)}

    def _groups(self) -> tuple[Ensemble, ...]:
        """Who acts together."""
        if self._ensembles is None:
            helps = getattr(type(self).distribution, "asks_actor_alone", False) and not is_plain()
            self._ensembles = ensembles(self.team, [*self.actors]) if helps else ()
        return self._ensembles

    def stacks(self) -> list[Any]:
        """The parameters of those who act together, as they are stacked now; other objects where they were moved."""
        return [stack for some in self._groups() for stack in some.stacks()]

    @property
    def all_act_together(self) -> bool:
        """Whether nobody acts alone."""
        return sum(len(some.members) for some in self._groups()) == self.team.n_agents

    def acts_by_arrays(self, n: int) -> bool:
        """Whether some of the team act on n arrays by NumPy alone."""
        return any(some.acts_by_arrays(n) for some in self._groups())

    def forget_groups(self) -> None:
        """Look anew which actors can act together; called after one has been replaced."""
        self._ensembles = None

    def set_training_mode(self, mode: bool) -> None:
        """Switch between training and evaluation, walking the modules only when something changes."""
        if self.training != mode:
            self.train(mode)

    def act(
        self, obs: Mapping[str, np.ndarray], deterministic: bool = False, generator: torch.Generator | None = None
    ) -> np.ndarray:
        """Joint actions for batched team observations, of who remembers at a first step.

        Returns:
            (n, action_size): Box entries in [-1, 1], categorical parts as choice numbers.
        """
        actions: np.ndarray = self.act_on(obs, (), None, deterministic, generator)[0]
        return actions

    def act_on(
        self,
        obs: Mapping[str, Any],
        memories: Memories,
        starts: Any,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[Any, Memories]:
        """Joint actions for batched team observations, and what the agents remember now.

        Args:
            obs: arrays (n, ...), or tensors, which stay on the policy's device.
            memories: what the agents remember; empty before the first step, and without memory.
            starts: (n,), true where an episode starts; None: nowhere.
            deterministic: each policy's mode rather than a draw.
            generator: source of the draws.

        Returns:
            (n, action_size): Box entries in units where the Box is [-1, 1], categorical parts as choice numbers, an
            array, or a tensor where observations are some; and the memories.
        """
        if self.recorded is not None:
            done: tuple[Any, Memories] | None = self.recorded(self, obs, memories, starts, deterministic, generator)
            if done is not None:
                return done
        return self.act_alone(obs, memories, starts, deterministic, generator)

    def act_alone(
        self,
        obs: Mapping[str, Any],
        memories: Memories,
        starts: Any,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[Any, Memories]:
        """The same without a recording."""
        joint_mask = self._joint_mask(obs)
        groups = self._groups()
        stays = isinstance(obs[self.team.names[0]], Tensor)
        parts: dict[int, Any] = {}
        remembered: dict[int, Tensor] = {}
        for some in groups:
            act = some.act_on_device if stays else some.act
            parts.update(zip(some.members, act(obs, joint_mask, deterministic, generator), strict=True))
        alone = [i for i in range(self.team.n_agents) if i not in parts]
        sizes = self.memory_sizes if alone else ()
        for i in alone:
            # Memories go into the graph when a rollout is learnt from, which inference tensors cannot.
            with torch.no_grad() if sizes[i] or stays else torch.inference_mode():
                seen = torch.as_tensor(obs[self.team.names[i]], device=self.device)
                if sizes[i]:
                    memory, mask = memories[i] if memories else None, self.own_mask(i, joint_mask)
                    action, remembered[i] = self.step(i, seen, mask, memory, starts, deterministic, generator)
                else:
                    policy: Choice = self.distribution(i, seen, joint_mask)
                    action = policy.mode() if deterministic else policy.sample(generator)
                parts[i] = action if stays else action.cpu().numpy()
        joint = _side_by_side([parts[i] for i in range(len(parts))])
        return joint, self._in_order(remembered, len(joint)) if remembered else ()

    def step(
        self,
        i: int,
        observation: Tensor,
        mask: Tensor | None,
        memory: Tensor | None,
        starts: Any,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Agent i's action (n, size) and what it remembers afterwards (n, memory_size)."""
        n = len(observation)
        if memory is None:
            memory = torch.zeros(n, self.memory_sizes[i], device=self.device)
        if n == 0:
            return torch.zeros(0, self.team.agents[i].action.size, device=self.device), memory
        flags = torch.as_tensor(np.zeros(n) if starts is None else starts, device=self.device).view(1, n).float()
        policy: Choice
        policy, remembered = self.along(i, observation, mask, Sequences(flags, memory))
        assert remembered is not None
        return policy.mode() if deterministic else policy.sample(generator), remembered[-1]

    def _joint_mask(self, obs: Mapping[str, np.ndarray]) -> Tensor | None:
        masks = obs.get(ACTION_MASK) if self.team.has_masks else None
        return None if masks is None else torch.as_tensor(masks, device=self.device)

    def _in_order(self, remembered: Mapping[int, Tensor], n: int) -> Memories:
        """One tensor an agent; of those who remember nothing (n, 0)."""
        nothing = torch.zeros(n, 0, device=self.device)
        return tuple(remembered.get(i, nothing) for i in range(self.team.n_agents))


def _side_by_side(parts: list[Any]) -> Any:
    """The agents' actions as one joint action, float32."""
    if isinstance(parts[0], Tensor):
        return torch.cat([part.float() for part in parts], dim=-1)
    return np.concatenate(parts, axis=-1, dtype=np.float32, casting="unsafe")
