"""The on-policy template: HAML's iteration, with an entropy term that makes it the maximum entropy one."""

from __future__ import annotations

import math
import warnings
from abc import ABC
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from masoft.algorithms.common_settings import BOOL, NETWORKS, ORDER, Schedule, TemperatureSettings
from masoft.algorithms.on_policy import OnPolicySettings, OnPolicyTeamAlgorithm
from masoft.algorithms.precise import in_own_precision
from masoft.algorithms.tempered import LearnedTemperature
from masoft.errors import ConfigurationError, NumericalFault, explain
from masoft.functional.returns import explained_variance
from masoft.learners.experience import batch_of, join, pick
from masoft.learners.metrics import Metrics
from masoft.learners.on_policy import OnPolicyStep, Turn, flat_parameters
from masoft.learners.values import ValueBatch, ValueStep
from masoft.mirror.budget import Budget, EqualBudget, dealt
from masoft.mirror.correction import Correction, SequentialRatio
from masoft.mirror.drift import ClipDrift, Drift
from masoft.mirror.improver import GradientSteps, Improver, NaturalGradient
from masoft.mirror.joint_clip import JointClipDrift
from masoft.mirror.neighborhood import Everywhere, Intersection, Neighborhood
from masoft.mirror.order import Order, RandomPermutation
from masoft.mirror.schedule import Scheduled, value_at
from masoft.mirror.temperature import AutoTemperature
from masoft.networks.value import CRITIC_INPUTS
from masoft.settings import Felt, settings
from masoft.validation import Instance, Integer, Nothing, OneOf, Real, ScheduleOf

LogRatios: TypeAlias = dict[int, Tensor]
"""Agents updated before, in order, with the log of their new over their old probability of what they did, (n_rows,)."""

VALUE_DECAY = 0.9
"""Share of the old moments of returns that the critic's scale keeps at each rollout."""

_SCHEDULED = (Real(0, open_low=True), ScheduleOf(Real(0)))
"""A number above 0, or a schedule, which may end at 0: no step then."""


@settings
class MirrorSettings(TemperatureSettings, OnPolicySettings):
    """Of HAML and its instances."""

    drift: Annotated[Drift, Instance((Drift,), "a Drift")] = ClipDrift(0.2)
    neighborhood: Annotated[Neighborhood, Instance((Neighborhood,), "a Neighborhood")] = Everywhere()
    order: Annotated[Order, ORDER] = RandomPermutation()
    correction: Annotated[Correction, Instance((Correction,), "a Correction")] = SequentialRatio()
    improver: Annotated[Improver, Instance((Improver,), "an Improver")] = GradientSteps()
    budget: Annotated[Budget, Instance((Budget,), "a Budget"), Felt("_check_settings")] = EqualBudget()
    clip_range: Annotated[Scheduled | None, _SCHEDULED, Felt("_check_settings")] = 0.2
    target_kl: Annotated[Scheduled | None, Real(0), ScheduleOf(Real(0)), Felt("_check_settings")] = 0.01
    critic_input: Annotated[str, OneOf(CRITIC_INPUTS), NETWORKS] = "state"
    ent_coef = 0.0
    soft_advantage: Annotated[bool, BOOL] = True
    n_epochs: Annotated[int, Integer(1)] = 10
    n_critic_epochs: Annotated[int | None, Integer(1), Nothing()] = None
    critic_batch_size: Annotated[int | None, Integer(1), Nothing(), Felt("_check_batches")] = None
    clip_range_vf: Annotated[Scheduled | None, _SCHEDULED, Nothing()] = None
    normalize_advantage: Annotated[bool, BOOL] = True
    normalize_value: Annotated[bool, BOOL, NETWORKS] = True


class MirrorOnPolicy(MirrorSettings, LearnedTemperature, OnPolicyTeamAlgorithm, ABC):
    """Abstract: HAML and its instances are this with their parts chosen. Its arguments are described there."""

    learning_rate_parts: ClassVar[tuple[str, ...]] = ("actor", "critic", "ent_coef")

    def _policy_arguments(self) -> dict[str, Any]:
        scale = VALUE_DECAY if self.normalize_value else None
        return {**super()._policy_arguments(), "critic_input": self.critic_input, "value_decay": scale}

    def _check_settings(self) -> None:
        """Classes that fix a drift with a clip range, or a ball, take its size as an argument of their own."""
        if self.clip_range is not None:
            self.drift = replace(self.drift, clip_range=self.clip_range)  # type: ignore[call-arg]
        if self.target_kl is not None:
            self.neighborhood = replace(self.neighborhood, radius=self.target_kl)
        if not self.neighborhood.undoes:
            must = "one that undoes steps, since prices are learned off-policy only"
            raise ConfigurationError(explain("neighborhood", must, self.neighborhood, "Use KLBall, or MEHAML."))
        if not isinstance(self.budget, EqualBudget) and isinstance(self.neighborhood, Everywhere | Intersection):
            must, cure = "EqualBudget() where no radius can be dealt", "Give a neighborhood with a radius, like KLBall."
            raise ConfigurationError(explain("budget", must, self.budget, cure))

    def _setup_model(self) -> None:
        super()._setup_model()
        self._build_temperature()
        self._metrics = Metrics(self.team.names)
        self._has_warned = False
        self._shares: dict[int, float] = {}

    def _rates_by_part(self) -> dict[str, float | Schedule]:
        by_part = super()._rates_by_part()
        # Only learned temperatures need a rate of their own.
        return {"ent_coef": by_part["actor"], **by_part} if "actor" in by_part else by_part

    @property
    def batch_size_names(self) -> tuple[str, ...]:
        return ("batch_size", "critic_batch_size")

    @property
    def reward_ent_coef(self) -> Tensor | None:
        return self.temperature.current()[-1] if self.ent_coef != 0 and self.soft_advantage else None

    @in_own_precision
    def train(self) -> None:
        """One iteration: the agents' mirror steps in the update order, then the critic and the temperatures."""
        self._prepare_training()
        self._deal()
        changed: LogRatios = {}
        if self.order.sequential:
            for i in self._walk(changed):
                self._improve(self._turn((i,), changed))
                self._look_at_change(i, changed)
        else:
            self._improve(self._turn(self.learners, changed))
        self._fit_critic()
        self._hold_entropies()
        self._finish_training()

    def _turn(self, agents: tuple[int, ...], changed: LogRatios) -> Turn:
        """What holds while some agents improve, given how those before them have changed."""
        drift = self.drift.at(self.progress_remaining)
        if isinstance(drift, JointClipDrift):
            drift = drift.in_turn(len(changed) + len(agents), len(self.learners))
        log_ratios = list(changed.values())
        trace = self.correction.trace(log_ratios)
        return Turn(
            agents=agents,
            updated=tuple(changed),
            drift=drift,
            neighborhood=self.neighborhood.at(self.progress_remaining),
            ent_coefs=None if self.ent_coef == 0 else self.temperature.current(),
            advantages=self.experience.advantages if trace is None else self.experience.corrected_advantages(trace),
            joint_ratio=self.correction.joint_ratio(log_ratios, getattr(drift, "clip_range", None)),
            shares=self._shares,
        )

    def _deal(self) -> None:
        """Each agent's share of the team's budget in this iteration, from slopes where everyone still stands."""
        self._shares = {}
        if isinstance(self.budget, EqualBudget):
            return
        slopes = [0.0] * len(self.learners)
        if self.budget.needs_slopes:
            slopes = [self._step.squared_slope(self.experience, i, self._turn((i,), {})) for i in self.learners]
        self._shares = dict(zip(self.learners, dealt(self.budget, slopes), strict=True))
        for i, share in self._shares.items():
            self._metrics.add(f"budget/{self.team.names[i]}", torch.tensor(share))

    def _improve(self, turn: Turn) -> None:
        """The mirror steps of the agents whose turn it is, in minibatches of the rollout; none at a clip range of 0."""
        if turn.clip_range == 0:
            return
        experience, layout = self.experience, self.experience.layout
        for _ in range(self.n_epochs):
            for picked in layout.minibatches(self.batch_size, self.generator, self.device):
                weights = self._weights(turn, picked)
                for group in self._groups(turn.agents):
                    parts = [batch_of(experience, self.policy, i, picked, turn.advantages, weights[i]) for i in group]
                    result = self._step(group, join(parts, layout.length), turn)
                    self._n_tried += 1
                    self._n_accepted += result.accepted

    def _groups(self, agents: tuple[int, ...]) -> list[list[int]]:
        """Agents that step together, since they have one actor."""
        groups: dict[int, list[int]] = {}
        for i in agents:
            groups.setdefault(id(self.policy.actors[i]), []).append(i)
        return list(groups.values())

    def _weights(self, turn: Turn, picked: Tensor | None) -> dict[int, Tensor | None]:
        """The joint ratio that weighs each acting agent's advantages, at the rows of some sequences."""
        if not self.correction.of_everybody:
            rows = self.experience.layout.rows_of(picked)
            return dict.fromkeys(turn.agents, None if turn.joint_ratio is None else pick(turn.joint_ratio, rows))
        now = {j: self._step.log_ratio(self.experience, j, picked) for j in self.learners}
        others = {i: [now[j] for j in now if j != i] for i in turn.agents}
        return {i: self.correction.joint_ratio(others[i], turn.clip_range) for i in turn.agents}

    def _look_at_change(self, i: int, changed: LogRatios) -> None:
        """Remember how agent i has changed, and those before it that share its actor; nobody follows the last."""
        actors = self.policy.actors
        if len(changed) < len(self.learners) - 1:
            for j in [*(j for j in changed if actors[j] is actors[i]), i]:
                changed[j] = self._step.log_ratio(self.experience, j)

    def _walk(self, changed: LogRatios) -> Iterator[int]:
        """The agents in update order; a greedy order asks whose objective is steepest, given the changes so far."""

        def improvements(agents: tuple[int, ...]) -> list[float]:
            turn = self._turn(agents[:1], changed)
            return [self._step.steepness(self.experience, i, turn) for i in agents]

        return self.turns(improvements)

    def _fit_critic(self) -> None:
        """Regression of the values on the returns of the rollout."""
        clip_range = self.clip_range_vf
        if clip_range is not None:
            clip_range = value_at(clip_range, self.progress_remaining, "clip_range_vf", Real(0))
            if clip_range == 0:
                return  # values may not move
        experience, critic = self.experience, self.policy.critic
        if any(weight.requires_grad for weight in critic.parameters()):
            critic.follow(experience.returns)
        returns, old = critic.to_units(experience.returns), critic.to_units(experience.values)
        active = experience.active if critic.n_values > 1 else None
        step = ValueStep(self.policy, clip_range, self.vf_coef, self.max_grad_norm, self._metrics)
        batch_size = self.critic_batch_size or self.batch_size
        for _ in range(self.n_critic_epochs or self.n_epochs):
            for picked in experience.layout.minibatches(batch_size, self.generator, self.device):
                rows = experience.layout.rows_of(picked)
                drawn = ValueBatch(
                    inputs=experience.inputs.pick(rows),
                    sequences=experience.sequences_of(experience.critic_memory, picked),
                    returns=pick(returns, rows),
                    old=pick(old, rows),
                    active=None if active is None else pick(active, rows),
                )
                batch = self.runner.begin(drawn, (clip_range, self.vf_coef, self.max_grad_norm))
                self.runner.run("values", partial(step, batch))

    def _hold_entropies(self) -> None:
        """Appendix H.1 for each agent's temperature and for the joint one, once an epoch."""
        if not isinstance(self.temperature, AutoTemperature):
            return
        if self._n_tried == 0:
            return
        nothing = torch.zeros((), device=self.device)
        names = [f"entropy/{name}" for name in self.team.names]
        means = torch.stack([self._metrics.mean(name) if name in self._metrics else nothing for name in names])
        entropies = self._targets.of_means(-means, self.experience.masks, self.experience.active)
        self.temperature.set_rate(self.learning_rate_of("ent_coef"))
        for _ in range(self.n_epochs):
            self.temperature.update(entropies, self.resting)

    def _prepare_training(self) -> None:
        """What stays the same during one iteration."""
        self.policy.set_training_mode(True)
        self._look_for_learners()
        for optimizer in self.policy.actor_optimizers:
            optimizer.param_groups[0]["lr"] = self.learning_rate_of("actor")
        self.policy.critic_optimizer.param_groups[0]["lr"] = self.learning_rate_of("critic")
        improver = self.improver.at(self.progress_remaining)
        if isinstance(improver, GradientSteps) and improver.max_grad_norm is None:
            improver = replace(improver, max_grad_norm=self.max_grad_norm)
        looks_at_weights = "parameter_change" in self.drift.needs | self.neighborhood.needs
        agents = range(self.team.n_agents) if looks_at_weights else ()
        self._step = OnPolicyStep(
            policy=self.policy,
            improver=improver,
            metrics=self._metrics,
            generator=self.cpu_generator,
            normalize_advantage=self.normalize_advantage,
            soft_advantage=self.soft_advantage,
            before={i: flat_parameters(self.policy, i).detach() for i in agents},
            whole=self.experience.advantages_by_agent() if self.normalize_advantage else {},
            runner=self.runner,
        )
        self._n_tried = 0
        self._n_accepted: int | Tensor = 0

    def _finish_training(self) -> None:
        """Count, check and log."""
        self._settle_gradients()
        self._n_updates += self.n_epochs
        for name in ("policy_loss", "value_loss"):
            value = float(self._metrics.mean(name)) if name in self._metrics else 0.0
            if not math.isfinite(value):
                cure = "Lower the learning_rate, or look for huge rewards or observations (VecNormalize scales them)."
                raise NumericalFault(explain(f"{name} after {self.num_timesteps} steps", "finite", value, cure))
        was_asked = self.neighborhood.at(self.progress_remaining).radius == 0 and callable(self.neighborhood.radius)
        if self._n_tried > 0 and self._n_accepted == 0 and not self._has_warned and not was_asked:
            self._has_warned = True
            warnings.warn(self._why_nothing_was_accepted(), UserWarning, stacklevel=2)
        if self.ent_coef != 0:
            self._metrics.add("ent_coef", self.temperature.current()[-1])
        fit = explained_variance(self.experience.values.flatten(), self.experience.returns.flatten())
        self._metrics.add("explained_variance", fit)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/learning_rate", self.learning_rate_of("actor"))
        self._metrics.record(self.logger)

    def _why_nothing_was_accepted(self) -> str:
        """Words for the warning that a whole iteration left every agent where it was."""
        ball = self.neighborhood.at(self.progress_remaining)
        reason = f"none of the steps tried stayed within {ball}"
        if ball.radius == 0:
            reason = f"a radius of 0 lets nobody move: {ball}"
        elif isinstance(self.improver, NaturalGradient):
            share = self.improver.accept_ratio
            reason += f" and lowered the loss by {share} of what its slope promised"
        return (
            f"No agent's step was accepted in this iteration ({reason}), so the old policies stay. This is said once; "
            "train/accepted/<agent> tells how often it happens."
        )
