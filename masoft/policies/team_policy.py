"""A team's policy: one actor an agent and a joint critic, in the form that stable-baselines3 expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from masoft.buffers.sequences import Stretch
from masoft.fast.adam import FusedAdam
from masoft.networks.actor import Actor
from masoft.networks.critic import Critic
from masoft.networks.heads import Heads, stochastic_head
from masoft.networks.torso import MlpTorso, TorsoChoice, plain_torso
from masoft.policies.architecture import (
    ALIASES,
    NetArch,
    Torsos,
    activation_class,
    joint_critic,
    optimizer_for,
    split_arch,
)
from masoft.policies.base import JointPolicy, one_an_agent
from masoft.spec import AgentSpec, TeamSpec


class TeamPolicy(JointPolicy):
    """Actors, twin joint critic and its target; the critic remembers where an agent does.

    Args:
        observation_space, action_space: the joint spaces of the team, as `TeamSpec` gives them.
        lr_schedule: unused here (the algorithm sets each optimiser's rate); part of SB3's signature.
        team: the team's specification.
        net_arch: widths of the hidden layers of actors and critics, or ``dict(pi=[...], qf=[...])``.
        activation_fn: activation module class, or one of ``"relu" | "tanh" | "elu" | "silu"``.
        final_activation: the same for the last hidden layer of the actors; None: ``activation_fn``.
        layer_norm: normalise the critic's hidden layers.
        n_critics: number of critic networks.
        critic: a `Critic` of your own in place of `JointCritic`; net_arch, layer_norm and n_critics are not asked then.
        critic_kwargs: its arguments after the team.
        share_parameters: let agents of equal spaces use one actor.
        initial_action_probabilities: starting probabilities of categorical agents, for all of them or by name.
        head: a class of heads of your own, for all agents with a Box or by name: it makes the action distribution.
        torso: from what an agent sees to features: ``"mlp"`` (pictures go through convolutions), ``"gru"`` (that is
            ``"RnnPolicy"``), ``"lstm"`` (``"MlpLstmPolicy"``), ``"attention"`` over tokens; or a `Torso` of your own.
        torso_kwargs: arguments of a class of torsos after the agent's specification.
        hidden_size: length of the output of a GRU or LSTM, >= 1; 64 where nobody says.
        sequence_length: with memory: steps of a replayed stretch that are learnt from, >= 1; 16 where nobody says.
        burn_in: with memory: steps before them that only fill the memory, >= 0; 16 where nobody says.
        optimizer_class, optimizer_kwargs: as in SB3.
    """

    policy_names: ClassVar[tuple[str, ...]] = tuple(ALIASES)

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        team: TeamSpec,
        net_arch: NetArch = (256, 256),
        activation_fn: type[nn.Module] | str = nn.ReLU,
        final_activation: type[nn.Module] | str | None = None,
        layer_norm: bool = True,
        n_critics: int = 2,
        critic: type[Critic] | None = None,
        critic_kwargs: Mapping[str, Any] | None = None,
        share_parameters: bool = False,
        initial_action_probabilities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
        head: Heads = None,
        torso: TorsoChoice = None,
        torso_kwargs: Mapping[str, Any] | None = None,
        hidden_size: int | None = None,
        sequence_length: int | None = None,
        burn_in: int | None = None,
        optimizer_class: Callable[..., torch.optim.Optimizer] = FusedAdam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=True)
        self.team = team
        self.share_parameters = share_parameters
        actor_arch, critic_arch = split_arch(net_arch)
        activation = activation_class(activation_fn)
        last = None if final_activation is None else activation_class(final_activation)

        torsos, plain = Torsos(torso, torso_kwargs or {}, hidden_size), plain_torso(actor_arch, activation, last)

        def build(agent: AgentSpec) -> Actor:
            start = initial_action_probabilities
            if isinstance(start, Mapping):
                start = start.get(agent.name)
            own = torsos.build(agent, plain)
            return Actor(own, stochastic_head(agent, own.n_features, start, head))

        owners = one_an_agent(team, share_parameters, build)
        self.actors = nn.ModuleList(owners)
        self.stretch = Stretch(sequence_length, burn_in, self.remembers)
        memory = torsos.size if self.remembers else 0
        build_one = joint_critic(team, critic_arch, activation, layer_norm, n_critics, critic, critic_kwargs, memory)
        self.critic = build_one()
        self.critic_target = build_one()
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.requires_grad_(False)
        optimizer_class = optimizer_for(optimizer_class, optimizer_kwargs)
        kwargs = optimizer_kwargs or {}
        by_actor = {
            id(actor): optimizer_class(actor.parameters(), lr=1e-3, **kwargs) for actor in dict.fromkeys(owners)
        }
        self.actor_optimizers = tuple(by_actor[id(actor)] for actor in owners)
        self.critic_optimizer = optimizer_class(self.critic.parameters(), lr=1e-3, **kwargs)

    @property
    def takes_tagged_rows(self) -> bool:
        """Whether ``distribution`` also takes an observation as `TaggedRows`."""
        is_plain = getattr(type(self).distribution, "asks_actor_alone", False)
        return is_plain and all(type(actor) is Actor and type(actor.torso) is MlpTorso for actor in self.actors)
