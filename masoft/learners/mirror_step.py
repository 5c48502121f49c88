"""The mirror step of one agent (Definition 2), off-policy and on-policy: an objective, the drift, the neighborhood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer

from masoft.mirror.change import PolicyChange
from masoft.mirror.drift import Drift
from masoft.mirror.improver import Improvement, Improver
from masoft.mirror.neighborhood import Neighborhood


@dataclass(frozen=True)
class Look:
    """What the agent's present weights make of a minibatch.

    Args:
        objective: scalar to minimise, without the drift.
        change: from the old policy to the present one; None where neither drift nor neighborhood looks at it.
        bonus: scalar to maximise besides, or None.
    """

    objective: Tensor
    change: PolicyChange | None = None
    bonus: Tensor | None = None


def mirror_step(
    look: Callable[[], Look],
    change: Callable[[], PolicyChange],
    improver: Improver,
    optimizer: Optimizer,
    drift: Drift | None,
    neighborhood: Neighborhood,
    penalised: Callable[[Tensor], None] | None = None,
) -> Improvement:
    """Seek ``argmin objective + E[drift] - bonus`` over the policies of the neighborhood.

    Args:
        look: at the present weights, in the graph; called anew for each step.
        change: the same without the objective; called only where the neighborhood or the improver asks.
        improver: how the minimum is sought.
        optimizer: over the agent's weights.
        drift: with its schedules filled in; None: there is none.
        neighborhood: what a step may not leave.
        penalised: told the mean drift of each look.
    """

    def loss() -> Tensor:
        now = look()
        value = now.objective
        if drift is not None and now.change is not None:
            penalty = now.change.mean(drift(now.change))
            value = value + penalty
            if penalised is not None:
                penalised(penalty)
        return value if now.bonus is None else value - now.bonus

    weights = [weight for weight in optimizer.param_groups[0]["params"] if weight.requires_grad]
    return improver.improve(weights, loss, change, neighborhood, optimizer)
