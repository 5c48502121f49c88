"""Old and new policies of each kind, on which drifts and neighborhoods are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from masoft.distributions import Categoricals, SquashedGaussian
from masoft.errors import ConfigurationError
from masoft.mirror import PolicyChange

BATCH = 6
NEAR, FAR = 0.1, 2.0
STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Case:
    """One kind of policy, given by a table of parameters, one row a state.

    Args:
        name: shown in messages.
        policy: from parameters (batch, size) to a distribution.
        old: parameters of the old policy, (batch, size), float64.
        actions: drawn from the old policy, (batch, ...).
        advantage: (batch,) or, for finitely many actions, (batch, n_joint).
        illegal: columns of the parameters that belong to illegal actions in every state, if any.
    """

    name: str
    policy: Callable[[Tensor], Any]
    old: Tensor
    actions: Tensor
    advantage: Tensor
    illegal: tuple[int, ...] = ()

    def change(self, new: Tensor) -> PolicyChange:
        """The change from the old policy to the one with the given parameters (batch, size)."""
        count = new.shape[0]
        return PolicyChange(
            self.policy(self.old[:count]),
            self.policy(new),
            actions=self.actions[:count],
            advantage=self.advantage[:count],
            joint_ratio=torch.ones(count, dtype=new.dtype),
            active=torch.ones(count, dtype=new.dtype),
            state_weights=torch.full((count,), 1 / count, dtype=new.dtype),
            updated=(1,),
            parameter_change=(new - self.old[:count]).reshape(-1),
        )

    def only(self, state: int) -> Case:
        """The same policies at one state alone."""
        row = slice(state, state + 1)
        return replace(self, old=self.old[row], actions=self.actions[row], advantage=self.advantage[row])


def cases(seed: int) -> Iterator[Case]:
    """Categorical, masked multi-categorical and squashed Gaussian policies, float64.

    Args:
        seed: of parameters, actions and advantages.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logits = normal(BATCH, 4)
    one = Categoricals(logits, (4,))
    yield Case("categorical", lambda x: Categoricals(x, (4,)), logits, one.sample(generator), normal(BATCH, 4))
    mask = torch.tensor([True, False, True, True, True])
    parts = normal(BATCH, 5)

    def masked(x: Tensor) -> Categoricals:
        return Categoricals(x, (3, 2), mask.expand(x.shape[0], -1))

    drawn = masked(parts).sample(generator)
    yield Case("masked multi-categorical", masked, parts, drawn, normal(BATCH, 6), illegal=(1,))
    numbers = torch.cat([normal(BATCH, 2), 0.3 * normal(BATCH, 2) - 0.5], dim=-1)

    def gaussian(x: Tensor) -> SquashedGaussian:
        return SquashedGaussian(x[:, :2], x[:, 2:])

    yield Case("squashed Gaussian", gaussian, numbers, gaussian(numbers).sample(generator), normal(BATCH))


def directions(case: Case, seed: int, count: int = 8) -> Iterator[Tensor]:
    """Random unit directions of the parameters, each with its opposite, (batch, size)."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        drawn = torch.randn(case.old.shape, generator=generator, dtype=torch.float64)
        drawn[:, list(case.illegal)] = 0.0
        unit = drawn / drawn.norm(dim=-1, keepdim=True)
        yield unit
        yield -unit


def attempt(call: Callable[[], Tensor]) -> Tensor | str:
    """The value of a call, or the sentence with which it refused this setting."""
    try:
        return call()
    except ConfigurationError as refusal:
        return str(refusal)


def fail(subject: object, condition: str, found: str) -> None:
    """Say which condition is broken, with the numbers that show it.

    Raises:
        AssertionError: always.
    """
    raise AssertionError(f"{subject!r} breaks a condition: {condition}. Found: {found}")
