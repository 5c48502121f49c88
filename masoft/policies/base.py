"""What every team's policy offers to the algorithms, whatever networks it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from masoft import habits
from masoft.errors import ConfigurationError
from masoft.policies.observations import agent_observations
from masoft.spec import AgentSpec, TeamSpec

M = TypeVar("M", bound=nn.Module)


class JointPolicy(BasePolicy, ABC):
    """Abstract: one actor an agent, in the form that stable-baselines3 expects.

    Attributes:
        team: the team's specification.
        actors: one module an agent; agents that share an actor have the same one.
    """

    team: TeamSpec
    actors: nn.ModuleList

    @abstractmethod
    def predict(  # type: ignore[override]
        self,
        observation: Mapping[str, Any],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: Mapping[str, np.ndarray] | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Actions for a team observation (SB3's form) or for a dict of agents' own observations."""

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

    def forget_groups(self) -> None:
        """Look anew which actors can act together; called after one has been replaced."""

    def set_training_mode(self, mode: bool) -> None:
        """Switch between training and evaluation, walking the modules only when something changes."""
        if self.training != mode:
            self.train(mode)

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
