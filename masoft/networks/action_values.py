"""Networks that value each of an agent's own actions from what it sees."""

from __future__ import annotations

from torch import Tensor, nn

from masoft.functional.action_values import ActionValues
from masoft.networks.actor import shown
from masoft.networks.torso import Sequences, Torso
from masoft.networks.walk import Walk, WalkOn
from masoft.spec import AgentSpec


class ActionValueNet(nn.Module):
    """A torso, and one output an action of a categorical agent.

    Args:
        agent: the agent's specification.
        torso: from observations to features.
        dueling: split the output into ``V(o) + A(o, a) - mean_a A(o, a)`` (Wang et al., 2016).
    """

    def __init__(self, agent: AgentSpec, torso: Torso, dueling: bool = False) -> None:
        super().__init__()
        self.nvec = agent.action.nvec
        self.torso = torso
        self.head = nn.Linear(torso.n_features, agent.action.n_joint)
        self.state_value = nn.Linear(torso.n_features, 1) if dueling else None

    @property
    def memory_size(self) -> int:
        """Length of what the agent remembers; 0: nothing."""
        return self.torso.memory_size

    def forward(self, observation: Tensor | Walk | WalkOn, mask: Tensor | None = None) -> ActionValues:
        """Values at observations (batch, *shape), at a first step, under masks (batch, sum(nvec)) or None."""
        return self._values(self.torso(shown(observation)), mask)

    def along(
        self, observation: Tensor, mask: Tensor | None, sequences: Sequences | None
    ) -> tuple[ActionValues, Tensor | None]:
        """Values along sequences, and what is remembered after each step (steps, n, memory_size) or None.

        Args:
            observation: (steps * n, *shape), rows as in `Sequences`.
            mask: (steps * n, sum(nvec)) or None.
            sequences: where episodes start, and what was remembered before.
        """
        features, remembered = self.torso.along(observation, sequences)
        return self._values(features, mask), remembered

    def _values(self, features: Tensor, mask: Tensor | None) -> ActionValues:
        values: Tensor = self.head(features)
        if self.state_value is not None:
            values = self.state_value(features) + values - values.mean(-1, keepdim=True)
        return ActionValues(values, self.nvec, mask)
