"""Temperatures: one for each agent's own objective and one, last, for the joint soft value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from masoft.fast.adam import FusedAdam
from masoft.fast.recording import aside
from masoft.mirror.entrywise import EntrywiseAdam
from masoft.mirror.target_entropy import Entropies
from masoft.spec import TeamSpec

LOG_BOUNDS = (-20.0, 20.0)
"""Logarithms of learned temperatures stay within these, so that no target drives one to infinity."""


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

    def set_rate(self, learning_rate: float) -> None:
        """Nothing to learn."""

    def update(self, entropies: Entropies, resting: Sequence[int] = ()) -> None:
        """Nothing to learn."""

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Take nothing: the constant is a setting."""
        return super().load_state_dict({**state_dict, "values": self.values}, *args, **kwargs)


class AutoTemperature(nn.Module):
    """Temperatures that hold each agent's entropy, and the joint one, at a target (paper Appendix H.1).

    As in the reference implementation the gradient goes to ``log alpha``; it is written out, so that all n + 1
    temperatures are one optimiser step. Where agents are not always there, or have no choice in some rows, each step
    weighs as much as the rows that count.

    Args:
        initial: starting value of every temperature, > 0.
        n_agents: number of agents.
        is_even: whether all rows count for everybody.

    Reference:
        Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018, section 5.
    """

    def __init__(self, initial: float, n_agents: int, is_even: bool = True) -> None:
        super().__init__()
        self.log_values = nn.Parameter(torch.full((n_agents + 1,), math.log(initial)))
        self.optimizer: FusedAdam | EntrywiseAdam
        self._rests: dict[tuple[int, ...], Tensor] = {}
        if is_even:
            self.optimizer = FusedAdam([self.log_values])
        else:
            self.optimizer = EntrywiseAdam(self.log_values)

    def current(self) -> Tensor:
        """Temperatures, (n_agents + 1,): the agents' own, then the joint one; without gradient."""
        return self.log_values.detach().exp()

    def set_rate(self, learning_rate: float) -> None:
        """Set the step size of the steps to come, >= 0."""
        self.optimizer.param_groups[0]["lr"] = learning_rate

    def update(self, entropies: Entropies, resting: Sequence[int] = ()) -> None:
        """One step on J(alpha) = E[-alpha log pi - alpha target].

        Args:
            entropies: where the entropies stand and where they should.
            resting: agents that do not learn: their temperatures and moments stay, and the joint one leaves them out.
        """
        gaps = entropies.log_probs + entropies.targets
        rests = self._who_rests(tuple(resting)) if resting else None
        if rests is not None:
            gaps = torch.where(rests, 0.0, gaps)
            own = gaps[:-1] if entropies.shares is None else gaps[:-1] * entropies.shares[:-1]
            gaps[-1] = own.sum()
        kept = [(values, values.clone()) for values in self._by_agent()] if rests is not None else []
        self.log_values.grad = -gaps
        if isinstance(self.optimizer, EntrywiseAdam):
            self.optimizer.shares = entropies.shares
        self.optimizer.step()
        with torch.no_grad():
            self.log_values.clamp_(*LOG_BOUNDS)
        for values, before in kept:
            assert rests is not None
            values.copy_(torch.where(rests, before, values))

    def _who_rests(self, resting: tuple[int, ...]) -> Tensor:
        """(n_agents + 1,), true for these agents."""
        if resting not in self._rests or self._rests[resting].device != self.log_values.device:
            with aside():
                rests = torch.zeros_like(self.log_values, dtype=torch.bool)
                for i in resting:
                    rests[i] = True
            self._rests[resting] = rests
        return self._rests[resting]

    def _by_agent(self) -> list[Tensor]:
        """The temperatures and their moments, (n_agents + 1,) each."""
        moments = self.optimizer.state.get(self.log_values, {}).values()
        return [self.log_values.detach(), *(each for each in moments if each.shape == self.log_values.shape)]

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Take the learned values; targets, which older files hold, are settings."""
        return super().load_state_dict({"log_values": state_dict["log_values"]}, *args, **kwargs)


Temperature = FixedTemperature | AutoTemperature


def make_temperature(ent_coef: float | str, team: TeamSpec) -> Temperature:
    """The temperature that ``ent_coef`` names.

    Args:
        ent_coef: a number >= 0, ``"auto"`` (starting at 1) or ``"auto_x"`` (starting at x).
        team: the team's specification.
    """
    if isinstance(ent_coef, str):
        initial = float(ent_coef.split("_")[1]) if "_" in ent_coef else 1.0
        return AutoTemperature(initial, team.n_agents, is_even=not (team.has_masks or team.has_deaths))
    return FixedTemperature(ent_coef, team.n_agents)
