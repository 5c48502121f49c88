"""FOP: an optimal joint maximum entropy policy that factorises, learned from a factorised soft value."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from masoft.algorithms.common_settings import TemperatureSettings
from masoft.algorithms.off_policy import OffPolicySettings, OffPolicyTeamAlgorithm
from masoft.algorithms.precise import in_own_precision
from masoft.algorithms.tempered import LearnedTemperature
from masoft.buffers.replay import TeamBatch
from masoft.learners.choices import check_enumerable
from masoft.learners.factored import FactoredUpdate
from masoft.learners.presence import shares_of, weighed
from masoft.policies.factored import FactoredPolicy
from masoft.settings import Felt, settings
from masoft.validation import Pattern, Real


@settings
class FactoredSettings(TemperatureSettings, OffPolicySettings):
    """Of FOP."""

    ent_coef: Annotated[float | str, Real(0, open_low=True), Pattern("auto"), Felt("_build_temperature")] = "auto"


class FOP(FactoredSettings, LearnedTemperature, OffPolicyTeamAlgorithm):
    """FOP: every agent improves its own soft utility, and the utilities add up to the joint soft value.

    ``(Q - V) / alpha = sum_i (Q_i - V_i) / alpha_i``, from which ``Q(s, a) = V(s) + sum_i lambda_i (Q_i - V_i)`` with
    ``lambda_i = alpha / alpha_i``. If the optimal joint policy factorises (Individual-Global-Optimal), then
    ``pi_i ~ exp(Q_i / alpha_i)`` is its factor. Where it does not, FOP may settle on a worse policy: see
    ``matrix/non_monotonic`` on its documentation page.

    Args:
        policy: ``"MlpPolicy"``, or a subclass of `FactoredPolicy`.
        env: as for `HASAC`.
        ent_coef: temperature alpha, a number > 0; ``"auto"`` learns one for each agent and the joint one, from 1
            (``"auto_0.2"``: from 0.2).
        target_entropy: entropy that ``"auto"`` holds, as for `HASAC`.
        learning_rate: step size or schedule; or ``dict(actor=, critic=, ent_coef=)``.
        buffer_size, learning_starts, batch_size, tau, gamma, train_freq, gradient_steps, n_steps,
            return_rule, replay_rule, team_reward: as for `HASAC`.
        policy_kwargs: arguments of `FactoredPolicy`.
        record: record the pieces of updates once and replay them; ``"compile"``: compile them, too (an experiment).
            See the page on recorded updates.
        precision: of the networks' products in updates, ``"float32"``, ``"tf32"`` or ``"bf16"``.
        stats_window_size, tensorboard_log, verbose, device, seed: as in stable-baselines3.

    Raises:
        ConfigurationError, SpaceError: an argument or the environment does not fit; raised before any work starts.
        TypeError: an unknown argument; the message names the nearest one.

    Example:
        >>> from masoft import FOP
        >>> model = FOP("matrix/maxent", learning_starts=8, batch_size=8, seed=0).learn(total_timesteps=10)
        >>> model
        FOP(env='matrix/maxent', learning_starts=8, batch_size=8, seed=0)

    Reference:
        Zhang et al., FOP: Factorizing Optimal Joint Policy of Maximum-Entropy Multi-Agent Reinforcement Learning, 2021.
    """

    policy: FactoredPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = FactoredPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(FactoredPolicy.policy_names, FactoredPolicy)
    learning_rate_parts: ClassVar[tuple[str, ...]] = ("actor", "critic", "ent_coef")
    has_log_probs: ClassVar[bool] = True

    def _check_team(self) -> None:
        super()._check_team()
        check_enumerable(self.team, type(self).__name__)

    def _setup_model(self) -> None:
        super()._setup_model()
        self._build_temperature()

    @in_own_precision
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Factorised critics, then every actor on its own utility, then temperatures and targets."""
        self._prepare_training()
        for _ in range(gradient_steps):
            update = self._begin_update()
            drawn = self.sample_batch(batch_size)
            presence = tuple(shares_of(drawn.active, self.team.n_agents))
            batch = self.runner.begin(drawn, (update.backup, presence, self.tau, self.learners))
            self.runner.run("critics", partial(update.fit_critics, batch, presence))
            log_probs = []
            for i, (share, optimizer) in enumerate(zip(presence, self.policy.actor_optimizers, strict=True)):
                learns = share > 0 and i in self.learners
                with weighed(optimizer, share if learns else 1.0):
                    log_probs.append(self.runner.run(("improve", i), partial(update.improve, i, batch, learns)))
            self.runner.run("temperatures and targets", partial(self._conclude, update, log_probs, batch))
            self._n_updates += 1
        self._finish_training()

    def _conclude(self, update: FactoredUpdate, log_probs: list[Tensor], batch: TeamBatch) -> None:
        """What follows the agents' steps: temperatures and targets."""
        self._fit_temperatures(self._targets.of_rows(log_probs, batch.masks, batch.active))
        update.follow(self.tau)

    def _begin_update(self) -> FactoredUpdate:
        """The update with its numbers as they are now."""
        self._take_temperatures()
        return FactoredUpdate(self.policy, self._backup(), self._ent_coefs, self.generator, self._metrics)
