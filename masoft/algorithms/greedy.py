"""What value-based methods share: greedy actions, now and then uniform ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar
from typing import Annotated, Any

from masoft.algorithms.common_settings import RATE, UNIT, LearningRate
from masoft.algorithms.off_policy import OffPolicySettings, OffPolicyTeamAlgorithm
from masoft.policies.exploration import epsilon_at
from masoft.settings import settings
from masoft.spec import ACTION_MASK


@settings
class GreedySettings(OffPolicySettings):
    """Of methods that act by the largest value."""

    exploration_initial_eps: Annotated[float, UNIT] = 1.0
    exploration_final_eps: Annotated[float, UNIT] = 0.05
    exploration_fraction: Annotated[float, UNIT] = 0.2
    learning_rate: InitVar[Annotated[LearningRate, RATE]] = 5e-4


class EpsilonGreedy(GreedySettings, OffPolicyTeamAlgorithm):
    """Abstract: agents act greedily, and uniformly with a probability that falls over training."""

    @property
    def exploration_rate(self) -> float:
        """Probability that an agent acts uniformly, at the present progress."""
        ends = self.exploration_initial_eps, self.exploration_final_eps
        return epsilon_at(*ends, self.exploration_fraction, self._current_progress_remaining)

    def _explore(self, obs: Mapping[str, Any]) -> Any:
        """Greedy actions; each agent acts uniformly now and then."""
        actions = self.play(obs, deterministic=True)
        rate, masks = self.exploration_rate, obs.get(ACTION_MASK)
        return self._noisy(actions, 0.0, rate, masks)

    def _finish_training(self) -> None:
        self.logger.record("rollout/exploration_rate", self.exploration_rate)
        super()._finish_training()
