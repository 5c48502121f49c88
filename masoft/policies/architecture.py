"""How the shape of a policy's networks is given: widths of hidden layers and names of activations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from masoft.errors import ConfigurationError, explain, nearest
from masoft.fast.adam import FusedAdam
from masoft.networks.attention import AttentionTorso
from masoft.networks.critic import Critic, build_critic
from masoft.networks.joint_critic import JointCritic, RememberingCritic
from masoft.networks.recurrent import GruTorso, LstmTorso
from masoft.networks.torso import MlpTorso, Torso, TorsoChoice, own_torso
from masoft.spec import AgentSpec, TeamSpec

ALIASES: Mapping[str, Mapping[str, Any]] = {
    "MlpPolicy": {},
    "CnnPolicy": {},
    "MultiInputPolicy": {},
    "RnnPolicy": {"torso": "gru"},
    "MlpGruPolicy": {"torso": "gru"},
    "MlpLstmPolicy": {"torso": "lstm"},
}
"""Names of policies that may remember, with the arguments that each stands for."""

NetArch = Sequence[int] | Mapping[str, Sequence[int]]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


def split_arch(net_arch: NetArch, critic: str = "qf") -> tuple[list[int], list[int]]:
    """Widths for actors and critics, checked.

    Args:
        net_arch: one list for both, or ``dict(pi=[...], qf=[...])``; none for ``pi`` or ``vf``: they are linear.
        critic: the critic's key, as SB3 calls it: ``"qf"`` off-policy, ``"vf"`` on-policy.

    Raises:
        ConfigurationError: an unknown key, a width that is no positive integer, or no layer of a critic of actions.
    """
    if isinstance(net_arch, Mapping):
        if set(net_arch) != {"pi", critic}:
            must = f"a list, or a dict with the keys 'pi' and {critic!r}"
            raise ConfigurationError(explain("net_arch", must, net_arch))
        pair = [*net_arch["pi"]], [*net_arch[critic]]
    else:
        pair = [*net_arch], [*net_arch]
    if not all(isinstance(width, int) and width > 0 for width in pair[0] + pair[1]):
        cure = f"Critics of their own are dict(pi=[...], {critic}=[...]), without a list around it."
        raise ConfigurationError(explain("net_arch", "positive widths", net_arch, cure))
    if critic == "qf" and not pair[1]:
        must, cure = "one width or more for the critic", "Linear actors are dict(pi=[], qf=[64])."
        raise ConfigurationError(explain("net_arch", must, net_arch, cure))
    return pair


def activation_class(choice: type[nn.Module] | str) -> type[nn.Module]:
    """An activation class from itself or from its name.

    Raises:
        ConfigurationError: an unknown name.
    """
    if isinstance(choice, str):
        if choice not in ACTIVATIONS:
            raise ConfigurationError(explain("activation", "a known name", choice, nearest(choice, ACTIVATIONS)))
        return ACTIVATIONS[choice]
    return choice


def optimizer_for(optimizer_class: Any, optimizer_kwargs: Mapping[str, Any] | None) -> Any:
    """The optimiser's class: PyTorch's own Adam where arguments are given that the lean default has not.

    Args:
        optimizer_class: as in SB3.
        optimizer_kwargs: its arguments besides the learning rate.

    Raises:
        ConfigurationError: an argument that it does not have.
    """
    known = _names(optimizer_class)
    wanted = {*(optimizer_kwargs or {})}
    if known is None or wanted <= known:
        return optimizer_class
    if optimizer_class is FusedAdam:
        return optimizer_for(torch.optim.Adam, optimizer_kwargs)
    name = sorted(wanted - known)[0]
    which, must = "A key of optimizer_kwargs", f"an argument of {getattr(optimizer_class, '__name__', optimizer_class)}"
    raise ConfigurationError(explain(which, must, name, nearest(name, known - {"params"})))


def _names(factory: Any) -> set[str] | None:
    """Arguments of an optimiser's class; None: any."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return None
    return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else {p.name for p in parameters}


HIDDEN_SIZE = 64
"""Length of what an agent remembers, where nobody says."""

RECURRENT = {"gru": GruTorso, "lstm": LstmTorso}


@dataclass(frozen=True)
class Torsos:
    """How the torsos of a team are made.

    Args:
        choice: a name, a class or function, or an object; None: ``"mlp"``.
        kwargs: arguments of a class or function after the agent.
        hidden_size: of a GRU or an LSTM; None: 64.

    Raises:
        ConfigurationError: an argument that the choice does not ask for, or of the wrong kind.
    """

    choice: TorsoChoice = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    hidden_size: int | None = None

    def __post_init__(self) -> None:
        asks = isinstance(self.choice, str) and self.choice in RECURRENT
        if self.hidden_size is not None and not asks:
            cure = "Policies with a memory are 'RnnPolicy' (a GRU) and 'MlpLstmPolicy'."
            raise ConfigurationError(explain("hidden_size", "left out without a GRU or LSTM", self.hidden_size, cure))
        check_size("hidden_size", self.size)
        if self.kwargs and (self.choice in (None, "mlp") or asks or isinstance(self.choice, Torso)):
            must = "left out, since no class of torsos gets them"
            raise ConfigurationError(explain("policy_kwargs['torso_kwargs']", must, self.kwargs))

    @property
    def are_ours(self) -> bool:
        """Whether the layers are those that ``net_arch`` describes."""
        return self.choice is None or (isinstance(self.choice, str) and self.choice in ("mlp", *RECURRENT))

    @property
    def size(self) -> int:
        """Length of what a critic remembers beside agents with a memory."""
        return HIDDEN_SIZE if self.hidden_size is None else self.hidden_size

    def build(self, agent: AgentSpec, plain: Callable[[AgentSpec], MlpTorso]) -> Torso:
        """The torso of one agent.

        Args:
            agent: the agent.
            plain: makes encoder and hidden layers, as ``net_arch`` says.
        """
        choice = self.choice
        if choice is None or choice == "mlp":
            return plain(agent)
        if isinstance(choice, str) and choice in RECURRENT:
            return RECURRENT[choice](plain(agent), self.size)
        return own_torso(agent, AttentionTorso if choice == "attention" else choice, self.kwargs)


def check_size(name: str, value: object) -> None:
    """Refuse what is no whole number >= 1.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(explain(name, "an integer >= 1", value))


def joint_critic(
    team: TeamSpec,
    net_arch: Sequence[int],
    activation_fn: type[nn.Module],
    layer_norm: bool,
    n_critics: int,
    critic: type[Critic] | None,
    critic_kwargs: Mapping[str, Any] | None,
    memory_size: int = 0,
) -> Callable[[], Critic]:
    """What builds a team's critic: `JointCritic`, which remembers where agents do, or a class of the user's own.

    Raises:
        ConfigurationError: arguments for a critic that is not given.
    """
    if critic is not None:
        return lambda: build_critic(critic, team, critic_kwargs or {})
    if critic_kwargs:
        must = "given together with policy_kwargs['critic']"
        raise ConfigurationError(explain("policy_kwargs['critic_kwargs']", must, critic_kwargs))
    state_size, shape = team.critic_state_size, (net_arch, activation_fn, layer_norm, n_critics)
    if memory_size:
        return lambda: RememberingCritic(
            state_size, memory_size, JointCritic(state_size + memory_size, team.encoded_size, *shape)
        )
    return lambda: JointCritic(state_size, team.encoded_size, *shape)
