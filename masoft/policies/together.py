"""Agents whose actors are alike act together: one pass for all of them instead of one each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from masoft.distributions import DiagonalGaussian
from masoft.distributions.diagonal_gaussian import draw_few
from masoft.fast.stacked import StackedLayers, StackedParameters, can_be_stacked
from masoft.networks.gaussian import DiagonalGaussianHead
from masoft.networks.heads import CategoricalHead, DeterministicHead, SquashedGaussianHead
from masoft.networks.mlp import VectorEncoder
from masoft.networks.torso import MlpTorso
from masoft.policies.teammates import Teammate
from masoft.spec import TeamSpec

C = TypeVar("C", bound=Callable[..., Any])
HEADS = (SquashedGaussianHead, DeterministicHead, CategoricalHead, DiagonalGaussianHead)


def asks_actor_alone(distribution: C) -> C:
    """Mark a policy's ``distribution``: agent i does what ``actors[i]`` says of its observation and mask, no more."""
    distribution.asks_actor_alone = True  # type: ignore[attr-defined]
    return distribution


class Ensemble:
    """Some agents of a team whose actors are alike, or one and the same.

    Args:
        team: the team's specification.
        members: the agents, in team order.
        actors: their actors; all different, or all one.
    """

    def __init__(self, team: TeamSpec, members: Sequence[int], actors: Sequence[nn.Module]) -> None:
        self.members = tuple(members)
        self._names = [team.names[i] for i in members]
        self._masks = [team.mask_slices[i] for i in members]
        self._head: Any = actors[0].head
        self._shared: Any = actors[0] if actors[0] is actors[-1] else None
        if self._shared is None:
            self._layers = StackedLayers([_layers(actor) for actor in actors])
            heads = [actor.head for actor in actors if isinstance(actor.head, DiagonalGaussianHead)]
            self._deviations = StackedParameters(heads, recurse=False) if heads else None

    def act(
        self,
        obs: Mapping[str, np.ndarray],
        masks: Tensor | None,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> np.ndarray:
        """What the members do, (n_members, batch, size).

        Args:
            obs: team observations, arrays (batch, ...).
            masks: the joint mask, (batch, mask_size), or None.
            deterministic: each policy's mode rather than a draw.
            generator: source of the draws.
        """
        if self._shared is None and self._deviations is not None:
            seen = self._seen(obs)
            mean = None if isinstance(seen, Tensor) else self._layers.of_few(seen)
            if mean is not None:
                log_std = self._deviations.current()["log_std"].numpy()[:, None]
                return mean if deterministic else draw_few(mean, log_std, generator)
        with torch.inference_mode():
            policy = self.choice(obs, masks)
            actions: np.ndarray = (policy.mode() if deterministic else policy.sample(generator)).cpu().numpy()
        return actions

    def stacks(self) -> list[Any]:
        """The members' parameters as they are stacked now."""
        if self._shared is not None:
            return []
        both = self._layers.parameters, self._deviations
        return [stack.current() for stack in both if stack is not None]

    def acts_by_arrays(self, n: int) -> bool:
        """Whether `act` does n arrays by NumPy alone."""
        return self._shared is None and self._deviations is not None and self._layers.does_few(n)

    @torch.no_grad()
    def act_on_device(
        self,
        obs: Mapping[str, Tensor],
        masks: Tensor | None,
        deterministic: bool,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The same for tensors; what comes out stays on the device."""
        policy = self.choice(obs, masks)
        actions: Tensor = policy.mode() if deterministic else policy.sample(generator)
        return actions

    def choice(self, obs: Mapping[str, Any], masks: Tensor | None) -> Any:
        """The members' policies as one record, whose tensors are (n_members, batch, size).

        Args:
            obs: team observations, arrays (batch, ...).
            masks: the joint mask, (batch, mask_size), or None.
        """
        seen = torch.as_tensor(self._seen(obs), device=self._head.linear.weight.device)
        seen = seen if seen.is_floating_point() else seen.float()
        mask = None
        if masks is not None and isinstance(self._head, CategoricalHead):
            mask = torch.stack([masks[:, where] for where in self._masks])
        if self._shared is not None:
            return self._head.read(self._head.linear(self._shared.torso.body(seen)), mask)
        outputs = self._layers(seen)
        if self._deviations is not None:
            return DiagonalGaussian(outputs, self._deviations.current()["log_std"].unsqueeze(1))
        return self._head.read(outputs, mask)

    def _seen(self, obs: Mapping[str, Any]) -> np.ndarray | Tensor:
        """The members' observations, (n_members, batch, n_inputs); tensors stay on their device."""
        each = [obs[name] for name in self._names]
        if isinstance(each[0], Tensor):
            return torch.stack(each).flatten(2)
        seen = np.array(each)
        return seen.reshape(*seen.shape[:2], -1)


def ensembles(team: TeamSpec, actors: Sequence[nn.Module]) -> tuple[Ensemble, ...]:
    """The largest sets of two or more agents that can act together; whoever is in none acts alone."""
    alike: dict[Any, list[int]] = {}
    for i, actor in enumerate(actors):
        if _is_plain(actor):
            alike.setdefault(_shape(actor), []).append(i)
    sets = []
    for members in alike.values():
        n_actors = len({id(actors[i]) for i in members})
        if len(members) > 1 and n_actors in (1, len(members)):
            sets.append(Ensemble(team, members, [actors[i] for i in members]))
    return tuple(sets)


def _is_plain(actor: Any) -> bool:
    """Whether an actor is a vector's way through layers that can be stacked, without memory."""
    if isinstance(actor, Teammate):
        return False
    torso = getattr(actor, "torso", None)
    if type(torso) is not MlpTorso or type(torso.encoder) is not VectorEncoder or type(actor.head) not in HEADS:
        return False
    return can_be_stacked(_layers(actor))


def _layers(actor: Any) -> list[nn.Module]:
    """An actor's layers one after the other, up to the linear one of its head."""
    return [*actor.torso.layers, actor.head.linear]


def _shape(actor: Any) -> tuple[Any, ...]:
    """Equal for two actors that compute alike but for their weights."""
    of_head = (type(actor.head), getattr(actor.head, "nvec", None))
    return type(actor), *map(repr, _layers(actor)), *of_head
