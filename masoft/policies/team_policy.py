"""A team's policy: one actor an agent and a joint critic, in the form that stable-baselines3 expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from masoft.errors import ConfigurationError, explain, nearest
from masoft.functional.actions import to_environment
from masoft.functional.distributions import Distribution
from masoft.networks.critics import JointCritic
from masoft.policies.agent import Actor
from masoft.policies.base import JointPolicy
from masoft.policies.observations import agent_observations, is_team_observation, split_by_agent
from masoft.spec import ACTION_MASK, TeamSpec

NetArch = Sequence[int] | Mapping[str, Sequence[int]]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


class TeamPolicy(JointPolicy):
    """Actors, twin joint critic and its target.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets each optimiser's rate); part of SB3's signature.
        team: the team's specification.
        net_arch: widths of the hidden layers of actors and critics, or ``dict(pi=[...], qf=[...])``.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        final_activation: the same for the last hidden layer of the actors; None: ``activation_fn``.
        layer_norm: normalise the critic's hidden layers.
        n_critics: number of critic networks.
        share_parameters: let agents of equal spaces use one actor.
        initial_action_probabilities: starting probabilities of categorical agents, for all of them or by name.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")

    def __init__(
        self,
        observation_space: spaces.Space,  # type: ignore[type-arg]
        action_space: spaces.Space,  # type: ignore[type-arg]
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        net_arch: NetArch = (256, 256),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        final_activation: type[nn.Module] | str | None = None,
        layer_norm: bool = True,
        n_critics: int = 2,
        share_parameters: bool = False,
        initial_action_probabilities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.team = team
        self.share_parameters = share_parameters
        actor_arch, critic_arch = _split_arch(net_arch)
        activation = _activation(activation_fn)
        distinct: dict[object, Actor] = {}
        owners = []
        for agent in team.agents:
            probabilities = initial_action_probabilities
            if isinstance(probabilities, Mapping):
                probabilities = probabilities.get(agent.name)
            key = (agent.observation_space, agent.action_space) if share_parameters else agent.name
            found = next((k for k in distinct if k == key), None)
            if found is None:
                found = key
                last = None if final_activation is None else _activation(final_activation)
                start = None if agent.action.is_box else probabilities
                distinct[key] = Actor(agent, actor_arch, activation, last, start)
            owners.append(distinct[found])
        self.actors = nn.ModuleList(owners)
        sizes = (team.critic_state_size, team.encoded_size)
        self.critic = JointCritic(*sizes, critic_arch, activation, layer_norm, n_critics)
        self.critic_target = JointCritic(*sizes, critic_arch, activation, layer_norm, n_critics)
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.requires_grad_(False)
        kwargs = optimizer_kwargs or {}
        by_actor = {id(actor): optimizer_class(actor.parameters(), lr=1e-3, **kwargs) for actor in distinct.values()}
        self.actor_optimizers = tuple(by_actor[id(actor)] for actor in owners)
        self.critic_optimizer = optimizer_class(self.critic.parameters(), lr=1e-3, **kwargs)

    def distribution(self, i: int, observation: Tensor, masks: Tensor | None = None) -> Distribution:
        """Agent i's policy at its observations (batch, *shape); ``masks`` is the joint mask (batch, mask_size)."""
        mask = None if masks is None else masks[:, self.team.mask_slices[i]]
        distribution: Distribution = self.actors[i](observation, mask)
        return distribution

    @torch.no_grad()
    def act(
        self, obs: Mapping[str, np.ndarray], deterministic: bool = False, generator: torch.Generator | None = None
    ) -> np.ndarray:
        """Joint actions for batched team observations.

        Returns:
            (n, action_size): Box entries in [-1, 1], categorical parts as choice numbers.
        """
        masks = obs.get(ACTION_MASK) if self.team.has_masks else None
        joint_mask = None if masks is None else torch.as_tensor(masks, device=self.device)
        parts = []
        for i, name in enumerate(self.team.names):
            policy = self.distribution(i, torch.as_tensor(obs[name], device=self.device), joint_mask)
            parts.append(policy.mode() if deterministic else policy.sample(generator))
        return torch.cat([part.float() for part in parts], dim=-1).cpu().numpy()

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
            batched, is_single = agent_observations(self.team, observation)
            joint = to_environment(self.team, self.act(batched, deterministic, generator))
            return (joint[0] if is_single else joint), state
        return self._predict_by_agent(observation, deterministic, action_masks or {}, generator)

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
            policy: Distribution = self.actors[entry.index](values, mask)
            chosen = policy.mode() if deterministic else policy.sample(generator)
            actions[entry.name] = entry.to_environment(self.team, chosen.cpu().numpy())
        return actions

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        arrays = {name: values.cpu().numpy() for name, values in observation.items()}
        return torch.as_tensor(self.act(arrays, deterministic))


def _split_arch(net_arch: NetArch) -> tuple[list[int], list[int]]:
    """Widths for actors and critics, checked."""
    if isinstance(net_arch, Mapping):
        unknown = set(net_arch) - {"pi", "qf"}
        if unknown or len(net_arch) < 2:
            raise ConfigurationError(explain("net_arch", "a list, or a dict with the keys 'pi' and 'qf'", net_arch))
        pair = [*net_arch["pi"]], [*net_arch["qf"]]
    else:
        pair = [*net_arch], [*net_arch]
    if not all(isinstance(width, int) and width > 0 for width in pair[0] + pair[1]) or not (pair[0] and pair[1]):
        raise ConfigurationError(explain("net_arch", "one positive width or more", net_arch))
    return pair


def _activation(choice: type[nn.Module] | str) -> type[nn.Module]:
    """An activation class from itself or from its name."""
    if isinstance(choice, str):
        if choice not in ACTIVATIONS:
            raise ConfigurationError(explain("activation", "a known name", choice, nearest(choice, ACTIVATIONS)))
        return ACTIVATIONS[choice]
    return choice
