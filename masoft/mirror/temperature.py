"""Temperatures: one for each agent's own objective and one, last, for the joint soft value."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from masoft.errors import ConfigurationError, explain
from masoft.spec import TeamSpec

DISCRETE_ENTROPY_FRACTION = 0.3


class FixedTemperature(nn.Module):
    """The same constant everywhere.

    Args:
        value: the temperature alpha, >= 0.
        n_agents: number of agents.
    """

    def __init__(self, value: float, n_agents: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.full((n_agents + 1,), float(value)))

    def current(self) -> Tensor:
        """Temperatures, (n_agents + 1,): the agents' own, then the joint one."""
        assert isinstance(self.values, Tensor)
        return self.values

    def update(self, log_probs: Tensor, learning_rate: float) -> None:
        """Nothing to learn."""


class AutoTemperature(nn.Module):
    """Temperatures that hold each agent's entropy, and the joint one, at a target (paper Appendix H.1).

    As in the reference implementation the gradient goes to ``log alpha``; it is written out, so that all n + 1
    temperatures are one optimiser step.

    Args:
        initial: starting value of every temperature, > 0.
        targets: target entropies, (n_agents + 1,).

    Reference:
        Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018, section 5.
    """

    def __init__(self, initial: float, targets: Tensor) -> None:
        super().__init__()
        self.log_values = nn.Parameter(torch.full_like(targets, math.log(initial)))
        self.register_buffer("targets", targets)
        self.optimizer = torch.optim.Adam([self.log_values], fused=True)

    def current(self) -> Tensor:
        """Temperatures, (n_agents + 1,): the agents' own, then the joint one; without gradient."""
        return self.log_values.detach().exp()

    def update(self, log_probs: Tensor, learning_rate: float) -> None:
        """One step on J(alpha) = E[-alpha log pi - alpha target].

        Args:
            log_probs: mean log-probabilities of the agents' own policies, then of the joint one, (n_agents + 1,).
            learning_rate: step size.
        """
        assert isinstance(self.targets, Tensor)
        self.log_values.grad = -(log_probs + self.targets)
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()


Temperature = FixedTemperature | AutoTemperature


def make_temperature(
    ent_coef: float | str, target_entropy: float | str | Mapping[str, float], team: TeamSpec
) -> Temperature:
    """The temperature that ``ent_coef`` names.

    Args:
        ent_coef: a number >= 0, ``"auto"`` (starting at 1) or ``"auto_x"`` (starting at x).
        target_entropy: ``"auto"``, a number for every agent, or numbers by agent.
        team: the team's specification.

    Raises:
        ConfigurationError: a target for an agent that the team does not have, or none for one that it has.
    """
    if isinstance(ent_coef, str):
        initial = float(ent_coef.split("_")[1]) if "_" in ent_coef else 1.0
        own = target_entropies(target_entropy, team)
        return AutoTemperature(initial, torch.tensor([*own, sum(own)]))
    return FixedTemperature(ent_coef, team.n_agents)


def target_entropies(target_entropy: float | str | Mapping[str, float], team: TeamSpec) -> list[float]:
    """Each agent's target entropy.

    ``"auto"`` is -dim(A) for a Box (paper Table 4) and 0.3 log|A| for categorical parts. (The reference means
    0.98 log|A| there and computes 0.)
    """
    if isinstance(target_entropy, Mapping):
        if set(target_entropy) != set(team.names):
            raise ConfigurationError(explain("target_entropy", f"a dict with the keys {team.names}", target_entropy))
        return [float(target_entropy[name]) for name in team.names]
    if isinstance(target_entropy, str):
        return [
            -float(a.action.size) if a.action.is_box else DISCRETE_ENTROPY_FRACTION * math.log(a.action.n_joint)
            for a in team.agents
        ]
    return [float(target_entropy)] * team.n_agents
