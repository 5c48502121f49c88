"""The off-policy maximum entropy template: Algorithm 2 of the paper with the operators of Algorithm 1 as parts."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable
from dataclasses import InitVar
from functools import partial
from typing import Annotated, ClassVar

from masoft.algorithms.common_settings import BOOL, ORDER, RATE, LearningRate, Schedule, TemperatureSettings
from masoft.algorithms.off_policy import N_RANGE, OffPolicySettings, OffPolicyTeamAlgorithm
from masoft.algorithms.precise import in_own_precision
from masoft.algorithms.tempered import LearnedTemperature
from masoft.errors import ConfigurationError, explain
from masoft.learners.choices import exact_choices
from masoft.learners.soft import SoftUpdate
from masoft.mirror.discrete_gradient import DISCRETE_GRADIENTS, DiscreteGradient
from masoft.mirror.drift import Drift, NoDrift
from masoft.mirror.improver import GradientSteps
from masoft.mirror.neighborhood import Everywhere, Neighborhood
from masoft.mirror.order import Order, RandomPermutation
from masoft.mirror.q_target import Q_TARGETS, QTarget
from masoft.mirror.reference import PACES, Pace
from masoft.mirror.schedule import OverSteps
from masoft.mirror.soft_value import SoftValue
from masoft.mirror.target_entropy import Entropies
from masoft.policies.reference import ReferencePolicies
from masoft.saving.parts import StatePart
from masoft.settings import Felt, settings
from masoft.validation import Instance, Integer


@settings
class SoftSettings(TemperatureSettings, OffPolicySettings):
    """Of HASAC, MASAC and MEHAML."""

    drift: Annotated[Drift, Instance((Drift,), "a Drift"), Felt("_build_parts")] = NoDrift()
    neighborhood: Annotated[Neighborhood, Instance((Neighborhood,), "a Neighborhood"), Felt("_build_parts")] = (
        Everywhere()
    )
    order: Annotated[Order, ORDER] = RandomPermutation()
    discrete_gradient: Annotated[DiscreteGradient | str, DISCRETE_GRADIENTS, Felt("_build_parts")] = "auto"
    mini_epochs: Annotated[int, Integer(1), Felt("_build_parts")] = 1
    policy_delay: Annotated[int, Integer(1)] = 1
    soft_critic: Annotated[bool | SoftValue, BOOL, Instance((SoftValue,), "a SoftValue"), Felt("_build_parts")] = True
    q_target: Annotated[QTarget | str, Q_TARGETS, Felt("_build_parts")] = "min"
    reference: Annotated[Pace | str, PACES, Felt("_follow_reference")] = "every_10"
    learning_rate: InitVar[Annotated[LearningRate, RATE]] = 1e-3
    n_steps: InitVar[Annotated[int | Schedule, N_RANGE]] = OverSteps(5, 1, steps=50_000)


class SoftActorCritic(SoftSettings, LearnedTemperature, OffPolicyTeamAlgorithm, ABC):
    """Abstract: HASAC, MASAC and MEHAML are this with their parts chosen. Its arguments are described there."""

    learning_rate_parts: ClassVar[tuple[str, ...]] = ("actor", "critic", "ent_coef")
    has_log_probs: ClassVar[bool] = True

    def _setup_model(self) -> None:
        super()._setup_model()
        self._build_temperature()
        self._reference: ReferencePolicies | None = None
        self._build_parts()

    def _build_parts(self) -> None:
        """What drift, neighborhood, gradient, target and mini-epochs need; a reference that is kept already stays."""
        self._improver = GradientSteps(self.mini_epochs)
        self._gradient: DiscreteGradient = DISCRETE_GRADIENTS.read(self.discrete_gradient, "discrete_gradient")
        self._choices = exact_choices(self.team, self._gradient, self.device)
        self._one_q: QTarget = Q_TARGETS.read(self.q_target, "q_target")
        self._one_q.check(self.policy.critic.n_critics)
        self._check_drift_can_run()
        looks_back = isinstance(self.soft_critic, SoftValue) and self.soft_critic.needs_old
        is_free = isinstance(self.drift, NoDrift) and isinstance(self.neighborhood, Everywhere) and not looks_back
        if is_free:
            self._reference = None
        elif self._reference is None:
            self._build_reference()
        else:
            self._reference.price(self.neighborhood.first_price)

    def _build_reference(self) -> None:
        """The policies of now as the old ones."""
        self._reference = ReferencePolicies(self.policy, PACES.read(self.reference, "reference"))
        self._reference.price(self.neighborhood.first_price)

    def _follow_reference(self) -> None:
        if self._reference is not None:
            self._build_reference()

    def renew(self, parts: Iterable[str]) -> None:
        if "reference" in parts:
            self._follow_reference()

    def state_parts(self) -> dict[str, StatePart]:
        """The networks, their optimisers, the temperatures and, where one is kept, the reference policies."""
        parts = super().state_parts()
        if self._reference is not None:
            parts["reference"] = self._reference
        return parts

    def _check_drift_can_run(self) -> None:
        sampled = [
            agent.name for agent, choices in zip(self.team.agents, self._choices, strict=True) if choices is None
        ]
        if "advantage" in self.drift.needs and sampled:
            must = "one that needs no advantage, since the actions of these agents are not enumerated"
            cure = f"Agents: {sampled}. Use KLDrift or SquaredRatioDrift, or the on-policy template HAML."
            raise ConfigurationError(explain("drift", must, self.drift, cure))

    @in_own_precision
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Algorithm 2: critics; at every ``policy_delay``-th one agent after the other, temperatures and targets."""
        self._prepare_training()
        for _ in range(gradient_steps):
            self._n_updates += 1
            update = self._begin_update()
            numbers = update.backup, update.soft_critic, update.drift, update.neighborhood, self.tau, self.learners
            batch = self.runner.begin(self.sample_batch(batch_size), numbers)
            if self._n_updates % self.policy_delay:
                self.runner.run("critics alone", partial(update.fit_critics, batch))
                continue
            opened = self.runner.run("critics", partial(update.fit_and_open, batch))
            updated: tuple[int, ...] = ()
            for i in self.turns_of_present(batch, self.turns(partial(update.steepness, opened=opened))):
                self.runner.run(("improve", i), partial(update.improve, i, opened, updated))
                updated = (*updated, i)
                if self.order.sequential and len(updated) < len(self.learners):
                    self.runner.run(("redraw", i), partial(update.redraw, i, opened))
            self.runner.run("temperatures and targets", partial(self._conclude, opened.entropies))
        self._finish_training()

    def _conclude(self, entropies: Entropies) -> None:
        """What follows the agents' turns: temperatures and targets."""
        self._fit_temperatures(entropies)
        self._update_targets()

    def _soft_critic_now(self) -> bool | SoftValue:
        """What the critic's target counts, with its schedules filled in."""
        what = self.soft_critic
        return what.at(self.progress_remaining) if isinstance(what, SoftValue) else what

    def _begin_update(self) -> SoftUpdate:
        """The update with its numbers as they are now; references follow the actors."""
        self._take_temperatures()
        if self._reference is not None:
            self._reference.follow()
        return SoftUpdate(
            policy=self.policy,
            choices=self._choices,
            discrete_gradient=self._gradient,
            q_target=self._one_q,
            backup=self._backup(),
            soft_critic=self._soft_critic_now(),
            targets=self._targets,
            reference=self._reference,
            drift=self.drift.at(self.progress_remaining),
            neighborhood=self.neighborhood.at(self.progress_remaining),
            improver=self._improver,
            ent_coefs=self._ent_coefs,
            generator=self.generator,
            metrics=self._metrics,
            everybody=self.order.everybody,
        )
