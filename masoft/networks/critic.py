"""The seam for joint critics: who brings another one writes ``forward``, and a loss if it is fitted in another way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from masoft.errors import ConfigurationError, explain
from masoft.spec import TeamSpec

C = TypeVar("C", bound="Critic")

CHUNK_ROWS = 2**16
"""So many pairs of a state and an action are judged at once where all of an agent's actions are."""


class Turns(Protocol):
    """A critic while the agents improve one after the other: its weights rest, and the joint action is known.

    Gradients flow to the action of the agent whose turn it is.
    """

    @property
    def actions(self) -> Tensor:
        """The current encoded joint action, (batch, action_size)."""
        ...

    def value(self, where: slice, action: Tensor) -> Tensor:
        """What the critic holds of one agent's action, the others playing their current ones.

        Args:
            where: the agent's slice of the encoded joint action.
            action: (batch, size), may carry gradients.

        Returns:
            (batch,), differentiable in ``action``.
        """
        ...

    def value_of_each(self, where: slice, actions: Tensor) -> Tensor:
        """The same for each of an agent's own actions.

        Args:
            where: the agent's slice of the encoded joint action.
            actions: (k, size), every encoded action of the agent.

        Returns:
            (batch, k), without gradient.
        """
        ...

    def replace(self, where: slice, action: Tensor) -> None:
        """Let one agent's current action be ``action`` (batch, size) from now on."""
        ...


class Critic(nn.Module, ABC):
    """A joint critic: one or several predictions of the soft Q-value of a state and a joint action.

    A subclass defines ``forward``. It takes the team first in its constructor, and gets what
    ``policy_kwargs=dict(critic=..., critic_kwargs=...)`` says.

    Attributes:
        n_critics: number of predictions; where one is built for a policy, it is read off what ``forward`` gives.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from masoft.networks import Critic
        >>> class Linear(Critic):
        ...     def __init__(self, team):
        ...         super().__init__()
        ...         self.layer = nn.Linear(team.critic_state_size + team.encoded_size, 2)
        ...     def forward(self, state, joint_action):
        ...         return self.layer(torch.cat([state, joint_action], dim=-1)).T
    """

    n_critics: int = 1

    @abstractmethod
    def forward(self, state: Tensor, joint_action: Tensor) -> Tensor:
        """Predictions.

        Args:
            state: (batch, state_size), see ``TeamSpec.critic_state_size``.
            joint_action: (batch, encoded_size): Box entries in [-1, 1], one-hot vectors of categorical parts.

        Returns:
            (n_critics, batch), or (n_critics, batch, ...) where a prediction is more than a number.
        """

    def expected(self, prediction: Tensor) -> Tensor:
        """The numbers that predictions stand for: (n_critics, batch, ...) to (n_critics, batch)."""
        return prediction

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """How far predictions are from the soft Bellman target: squared errors, averaged, summed over critics.

        Args:
            prediction: what ``forward`` gave.
            target: (batch,).

        Returns:
            scalar.
        """
        return (self.expected(prediction) - target).square().mean(dim=1).sum()

    def judged(self, values: Tensor) -> Tensor:
        """How several critics become one where actors climb them: the smallest, (n_critics, batch) to (batch,)."""
        return values.amin(dim=0)

    def turns(self, state: Tensor, joint_action: Tensor) -> Turns:
        """This critic while agents improve in turn, from the joint action (batch, encoded_size)."""
        return PlainTurns(self, state, joint_action)

    @torch.no_grad()
    def follow(self: C, critic: C, share: float) -> None:
        """Polyak averaging: move each weight by ``share``, in (0, 1], towards that of another critic of this shape."""
        torch._foreach_lerp_([*self.parameters()], [*critic.parameters()], share)


class PlainTurns:
    """Asks the critic anew for each joint action; hooks on its modules fire as always.

    Args:
        critic: the critic, used without gradients to its weights.
        state: (batch, state_size).
        actions: (batch, action_size), the current encoded joint action; not modified.
    """

    def __init__(self, critic: Critic, state: Tensor, actions: Tensor) -> None:
        self._critic, self._state = critic, state
        self.actions = actions.detach().to(state.dtype, copy=True)

    def value(self, where: slice, action: Tensor) -> Tensor:
        with resting(self._critic):
            joint = torch.cat([self.actions[:, : where.start], action, self.actions[:, where.stop :]], dim=-1)
            return self._ask(self._state, joint)

    @torch.no_grad()
    def value_of_each(self, where: slice, actions: Tensor) -> Tensor:
        n_rows, found = len(self._state), []
        for some in torch.split(actions.to(self.actions.dtype), max(1, CHUNK_ROWS // n_rows)):
            joint = self.actions.repeat(len(some), 1)
            joint[:, where] = some.repeat_interleave(n_rows, dim=0)
            found.append(self._ask(self._state.repeat(len(some), 1), joint).view(-1, n_rows))
        return torch.cat(found).t()

    @torch.no_grad()
    def replace(self, where: slice, action: Tensor) -> None:
        self.actions[:, where] = action

    def _ask(self, state: Tensor, joint_action: Tensor) -> Tensor:
        return self._critic.judged(self._critic.expected(self._critic(state, joint_action)))


@contextmanager
def resting(module: nn.Module) -> Iterator[None]:
    """Keep autograd from a module's weights."""
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def has_hooks(module: nn.Module) -> bool:
    """Whether a forward hook waits on a module or inside it, so that it has to be called as PyTorch calls it."""
    return any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


def build_critic(kind: type[Critic], team: TeamSpec, kwargs: Mapping[str, Any]) -> Critic:
    """A critic of somebody's own, tried on two states.

    Args:
        kind: the class.
        team: its constructor's first argument.
        kwargs: the others.

    Raises:
        ConfigurationError: it is no critic, or gives something of another shape than (n_critics, batch).
    """
    if not (isinstance(kind, type) and issubclass(kind, Critic)):
        raise ConfigurationError(explain("policy_kwargs['critic']", "a subclass of masoft.networks.Critic", kind))
    critic = kind(team, **kwargs)
    state, joint_action = torch.zeros(2, team.critic_state_size), torch.zeros(2, team.encoded_size)
    with torch.no_grad():
        values = critic.expected(critic(state, joint_action))
    if values.dim() != 2 or values.shape[1] != 2:
        which = f"What {kind.__name__}'s forward gives of two states" + (
            "" if kind.expected is Critic.expected else ", as expected"
        )
        raise ConfigurationError(explain(which, "of the shape (n_critics, 2)", tuple(values.shape)))
    critic.n_critics = len(values)
    return critic
