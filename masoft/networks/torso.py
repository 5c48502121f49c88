"""The seam for an agent's network: from what it sees, and where it remembers what it saw, to features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from masoft.errors import ConfigurationError, explain, nearest
from masoft.fast.written_out import pass_through
from masoft.functional.observations import TaggedRows
from masoft.networks.hidden import HiddenLayers
from masoft.networks.mlp import ImageEncoder, VectorEncoder, make_encoder, mlp
from masoft.spec import AgentSpec


@dataclass(frozen=True)
class Sequences:
    """How the rows of a batch form sequences: row ``t * n + s`` is step t of sequence s.

    Args:
        starts: (steps, n), 1 where an episode starts with that step.
        hidden: (n, memory_size), what was remembered before the first step.
    """

    starts: Tensor
    hidden: Tensor


class Torso(nn.Module, ABC):
    """Abstract: observations in, features out; a head makes an action distribution of them.

    One of your own goes into ``policy_kwargs={"torso": ...}``, as a class, which gets the agent's `AgentSpec` and
    ``policy_kwargs["torso_kwargs"]``, or as an object, of which each agent gets a copy. Who remembers subclasses
    `MemoryTorso`.

    Attributes:
        n_features: length of the features.
        memory_size: length of what is remembered; 0: nothing.

    Example:
        >>> from torch import nn
        >>> from masoft.networks import Torso
        >>> class Squares(Torso):
        ...     def __init__(self, agent):
        ...         super().__init__()
        ...         self.n_features = 2 * agent.observation_shape[0]
        ...     def forward(self, observation):
        ...         return nn.functional.pad(observation.square(), (0, observation.shape[1]))
    """

    n_features: int
    memory_size: int = 0

    @abstractmethod
    def forward(self, observation: Tensor) -> Tensor:
        """Features (batch, n_features) of observations (batch, *shape)."""

    def then(self, observation: Tensor | TaggedRows, last: nn.Linear) -> Tensor:
        """Features, and one linear layer more: (batch, last.out_features)."""
        plain = observation.written_out() if isinstance(observation, TaggedRows) else observation
        outputs: Tensor = last(self(plain))
        return outputs

    def along(self, observation: Tensor, sequences: Sequences | None = None) -> tuple[Tensor, Tensor | None]:
        """Features along sequences, and what is remembered after each step, (steps, n, memory_size) or None.

        Args:
            observation: (steps * n, *shape), rows as in `Sequences`.
            sequences: where episodes start, and what was remembered before; only for those who remember.
        """
        return self(observation), None


class MemoryTorso(Torso, ABC):
    """Abstract: a torso that remembers. A subclass defines ``step``; at an episode's start it remembers zeros.

    Exported actors start with zeros too, so a memory that must know whether it is empty has an entry for it.
    """

    @abstractmethod
    def step(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One step of n episodes.

        Args:
            observation: (n, *shape).
            memory: (n, memory_size), not to be changed in place.

        Returns:
            features (n, n_features), and what is remembered from now on (n, memory_size).
        """

    def forward(self, observation: Tensor) -> Tensor:
        """Features at the first step of an episode."""
        return self.step(observation, self.initial_memory(len(observation), observation.device))[0]

    def initial_memory(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """What is remembered at the start of n episodes: zeros, (n, memory_size)."""
        return torch.zeros(n, self.memory_size, device=device)

    def along(self, observation: Tensor, sequences: Sequences | None = None) -> tuple[Tensor, Tensor]:
        """Step by step; one whose arithmetic allows it may go over all steps at once instead."""
        if sequences is None:
            sequences = first_steps(len(observation), self, observation.device)
        memory, features, remembered = sequences.hidden, [], []
        for start, seen in zip(sequences.starts, observation.chunk(len(sequences.starts)), strict=True):
            # A product would keep an infinity of the episode before.
            feature, memory = self.step(seen, torch.where(start.unsqueeze(-1) > 0, 0.0, memory))
            features.append(feature)
            remembered.append(memory)
        return torch.cat(features), torch.stack(remembered)


def first_steps(n: int, torso: Torso, device: torch.device) -> Sequences:
    """The first step of ``n`` episodes."""
    return Sequences(torch.ones(1, n, device=device), torch.zeros(n, torso.memory_size, device=device))


class MlpTorso(Torso):
    """Convolutions for pictures, else flattening; then hidden layers. What masoft's agents have by default.

    Args:
        encoder: from observations to vectors.
        body: hidden layers.
        n_features: what they give.
    """

    def __init__(self, encoder: ImageEncoder | VectorEncoder, body: nn.Module, n_features: int) -> None:
        super().__init__()
        self.encoder, self.body, self.n_features = encoder, body, n_features

    def forward(self, observation: Tensor) -> Tensor:
        features: Tensor = self.body(self.encoder(observation))
        return features

    def then(self, observation: Tensor | TaggedRows, last: nn.Linear) -> Tensor:
        seen = observation if isinstance(observation, TaggedRows) else self.encoder(observation)
        return pass_through(seen, [*self.layers, last])

    @property
    def layers(self) -> list[nn.Module]:
        """The hidden layers one after the other."""
        body = self.body.layers if isinstance(self.body, HiddenLayers) else self.body
        return [*body.children()]


def plain_torso(
    net_arch: Sequence[int],
    activation_fn: type[nn.Module] = nn.ReLU,
    final_activation: type[nn.Module] | None = None,
) -> Callable[[AgentSpec], MlpTorso]:
    """What makes the encoder and hidden layers of off-policy agents.

    Args:
        net_arch: widths of the hidden layers.
        activation_fn: module after each hidden layer.
        final_activation: module after the last hidden layer; None: ``activation_fn``.
    """

    def build(agent: AgentSpec) -> MlpTorso:
        encoder = make_encoder(agent.observation_shape, agent.observes_bytes)
        body = mlp(encoder.n_features, net_arch, activation_fn, final_activation)
        return MlpTorso(encoder, body, net_arch[-1] if net_arch else encoder.n_features)

    return build


TorsoChoice: TypeAlias = "str | Torso | type[Torso] | Callable[..., Torso] | None"
"""A name (`TORSOS`), a class, a function of the agent's specification, or an object of which each agent gets a copy."""


def own_torso(agent: AgentSpec, torso: Any, torso_kwargs: Mapping[str, Any]) -> Torso:
    """The torso that a user has brought, checked at one observation.

    Args:
        agent: whose it is.
        torso: a class or function, or an object.
        torso_kwargs: arguments of a class or function after the agent.

    Raises:
        ConfigurationError: it is none, or does not give ``n_features`` features and its memory.
    """
    which = "policy_kwargs['torso']"
    if isinstance(torso, Torso):
        made: Any = deepcopy(torso)
    elif callable(torso):
        try:
            made = torso(agent, **torso_kwargs)
        except TypeError as error:
            cure = f"It gets the agent's specification and torso_kwargs: {error}"
            raise ConfigurationError(explain(which, "made by these arguments", dict(torso_kwargs), cure)) from error
    else:
        made = None
    if not isinstance(made, Torso):
        must, cure = f"one of {sorted(NAMES)}, or a subclass of masoft.networks.Torso", nearest(str(torso), NAMES)
        raise ConfigurationError(explain(which, must, torso, cure))
    _try(made, agent, which)
    return made


NAMES = ("attention", "gru", "lstm", "mlp")
"""Torsos that have a name."""


@torch.no_grad()
def _try(torso: Torso, agent: AgentSpec, which: str) -> None:
    """Two observations through a torso, as it will be used."""
    dtype = torch.uint8 if agent.observes_bytes else torch.float32
    seen = torch.zeros(2, *agent.observation_shape, dtype=dtype)
    name = type(torso).__name__
    try:
        features, remembered = torso.along(seen, first_steps(2, torso, seen.device) if torso.memory_size else None)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        must = f"fit for observations of shape {agent.observation_shape} (agent {agent.name!r})"
        raise ConfigurationError(explain(which, must, name, str(error))) from error
    wanted = (2, torso.n_features)
    if tuple(features.shape) != wanted:
        must = f"one that gives features of shape (batch, n_features) = {wanted} for two observations"
        raise ConfigurationError(explain(which, must, tuple(features.shape), f"See {name}.forward."))
    if torso.memory_size and (remembered is None or tuple(remembered.shape) != (1, 2, torso.memory_size)):
        got = None if remembered is None else tuple(remembered.shape)
        must = f"one that remembers (n, memory_size) = {(2, torso.memory_size)} after a step"
        raise ConfigurationError(explain(which, must, got, f"See {name}.step."))
