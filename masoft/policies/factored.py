"""The policy of FOP: actors, the agents' own soft utilities, and the mixers that make them a joint soft value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from masoft.fast.adam import FusedAdam
from masoft.networks.actor import Actor
from masoft.networks.heads import stochastic_head
from masoft.networks.mixers import FactoredMixer
from masoft.networks.torso import plain_torso
from masoft.networks.utilities import BoxUtility, ChoiceUtility
from masoft.policies.architecture import NetArch, activation_class, optimizer_for, split_arch
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.spec import AgentSpec, TeamSpec


class FactoredPolicy(JointPolicy):
    """Actors, utilities, mixers, and targets of the latter two.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets each optimiser's rate); part of SB3's signature.
        team: the team's specification.
        net_arch: widths of the hidden layers of actors and utilities, or ``dict(pi=[...], qf=[...])``.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        layer_norm: normalise the hidden layers of Box agents' utilities.
        n_critics: number of independent utilities and mixers; the smallest of their values counts.
        n_heads, mixing_width: see `FactoredMixer`.
        share_parameters: let agents of equal spaces use one actor and one utility.
        initial_action_probabilities: starting probabilities of categorical agents, for all of them or by name.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        net_arch: NetArch = (256, 256),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        layer_norm: bool = True,
        n_critics: int = 2,
        n_heads: int = 4,
        mixing_width: int = 64,
        share_parameters: bool = False,
        initial_action_probabilities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
        optimizer_class: type[torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.team, self.share_parameters = team, share_parameters
        actor_arch, critic_arch = split_arch(net_arch)
        activation = activation_class(activation_fn)
        plain = plain_torso(actor_arch, activation)

        def utility(agent: AgentSpec) -> ChoiceUtility | BoxUtility:
            if agent.action.is_box:
                return BoxUtility(agent, critic_arch, activation, layer_norm, n_critics)
            return ChoiceUtility(agent, critic_arch, activation, n_critics)

        def actor(agent: AgentSpec) -> Actor:
            start = initial_action_probabilities
            start = start.get(agent.name) if isinstance(start, Mapping) else start
            torso = plain(agent)
            return Actor(torso, stochastic_head(agent, torso.n_features, start))

        actors = one_an_agent(team, share_parameters, actor)
        self.actors = nn.ModuleList(actors)
        self.utilities = nn.ModuleList(one_an_agent(team, share_parameters, utility))
        sizes = (team.n_agents, team.critic_state_size, team.encoded_size, n_heads, mixing_width)
        self.mixers = nn.ModuleList([FactoredMixer(*sizes) for _ in range(n_critics)])
        self.utilities_target = deepcopy(self.utilities).requires_grad_(False)
        self.mixers_target = deepcopy(self.mixers).requires_grad_(False)
        optimizer_class = optimizer_for(optimizer_class, optimizer_kwargs)
        make: Any = optimizer_class
        kwargs: dict[str, Any] = {"lr": 1e-3, **(optimizer_kwargs or {})}
        by_actor = {actor: make(actor.parameters(), **kwargs) for actor in dict.fromkeys(actors)}
        self.actor_optimizers = tuple(by_actor[actor] for actor in actors)
        self.critic_optimizer = make([*self.utilities.parameters(), *self.mixers.parameters()], **kwargs)
