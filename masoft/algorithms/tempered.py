"""What methods with learned temperatures share: making them, saving them, and one step of all of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from masoft.algorithms.common_settings import TemperatureSettings
from masoft.algorithms.team import TeamAlgorithm
from masoft.mirror.target_entropy import Entropies, TargetEntropies
from masoft.mirror.temperature import AutoTemperature, Temperature, make_temperature
from masoft.saving.parts import StatePart


class LearnedTemperature(TemperatureSettings, TeamAlgorithm):
    """Abstract mixin: temperatures named by ``ent_coef``, one an agent and the joint one."""

    temperature: Temperature
    _ent_coefs: Tensor
    _metrics: Any

    def _build_temperature(self) -> None:
        """Temperatures that start where ``ent_coef`` says."""
        self._set_targets()
        self.temperature = make_temperature(self.ent_coef, self.team).to(self.device)
        self._look_at_gradients()

    def _set_targets(self) -> None:
        self._targets = TargetEntropies(self.target_entropy, self.team)

    def state_parts(self) -> dict[str, StatePart]:
        """The networks, their optimisers and the temperatures."""
        parts: dict[str, StatePart] = {**super().state_parts(), "temperature": self.temperature}
        if isinstance(self.temperature, AutoTemperature):
            parts["temperature_optimizer"] = self.temperature.optimizer
        return parts

    def _take_temperatures(self) -> None:
        """The temperatures and their step size as they hold during an update."""
        self.temperature.set_rate(self.learning_rate_of("ent_coef"))
        self._ent_coefs = self.runner.hold("temperatures", self.temperature.current())

    def _fit_temperatures(self, entropies: Entropies) -> None:
        """Appendix H.1 for each agent's temperature and for the joint one."""
        self.temperature.update(entropies, self.resting)
        self._metrics.add("entropy", -entropies.log_probs[-1])
        self._metrics.add("ent_coef", self._ent_coefs[-1])
