"""The deterministic family: HADDPG, HATD3, MADDPG and MATD3 are one template with its parts chosen."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

from stable_baselines3.common.policies import BasePolicy

from masoft.algorithms.common_settings import NETWORKS, UNIT, OrderOfItself
from masoft.algorithms.off_policy import OffPolicySettings, OffPolicyTeamAlgorithm
from masoft.algorithms.precise import in_own_precision
from masoft.learners.choices import exact_choices
from masoft.learners.deterministic import DeterministicUpdate
from masoft.mirror.discrete_gradient import DISCRETE_GRADIENTS, DiscreteGradient
from masoft.mirror.exploration import Noise
from masoft.mirror.order import Order, RandomPermutation
from masoft.policies.deterministic import DeterministicPolicy
from masoft.settings import Felt, settings
from masoft.spec import ACTION_MASK
from masoft.validation import Instance, Integer, Real


@settings
class DeterministicSettings(OffPolicySettings):
    """Of HATD3, HADDPG, MATD3 and MADDPG."""

    order: Annotated[Order, OrderOfItself()] = RandomPermutation()
    exploration_noise: Annotated[float | Noise, Real(0), Instance((Noise,), "a Noise")] = 0.1
    exploration_epsilon: Annotated[float, UNIT] = 0.1
    policy_delay: Annotated[int, Integer(1)] = 2
    target_policy_noise: Annotated[float, Real(0)] = 0.2
    target_noise_clip: Annotated[float, Real(0)] = 0.5
    n_critics: Annotated[int, NETWORKS] = 2
    discrete_gradient: Annotated[DiscreteGradient | str, DISCRETE_GRADIENTS, Felt("_choose_gradient")] = "auto"


class DeterministicPolicyGradient(DeterministicSettings, OffPolicyTeamAlgorithm, ABC):
    """Abstract: agents follow the slope of a joint critic, one after the other or all at once.

    Its arguments are described at `HATD3`.
    """

    policy: DeterministicPolicy  # type: ignore[assignment]
    policy_base: ClassVar[type[BasePolicy]] = DeterministicPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict.fromkeys(
        DeterministicPolicy.policy_names, DeterministicPolicy
    )

    def _policy_arguments(self) -> dict[str, Any]:
        return {"n_critics": self.n_critics, **super()._policy_arguments()}

    def _setup_model(self) -> None:
        super()._setup_model()
        self._choose_gradient()

    def _choose_gradient(self) -> None:
        self._gradient: DiscreteGradient = DISCRETE_GRADIENTS.read(self.discrete_gradient, "discrete_gradient")
        self._choices = exact_choices(self.team, self._gradient, self.device)

    @in_own_precision
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Critics at each step; at every ``policy_delay``-th one agent after the other, then the targets."""
        self._prepare_training()
        update = self._begin_update()
        for _ in range(gradient_steps):
            batch = self.runner.begin(self.sample_batch(batch_size), (update.backup, self.tau, self.learners))
            self.runner.run("critics", partial(update.fit_critics, batch))
            self._n_updates += 1
            if self._n_updates % self.policy_delay == 0:
                critic = self.runner.run("open", partial(update.open, batch))
                for i in self.turns_of_present(batch):
                    self.runner.run(("improve", i), partial(update.improve, i, critic, batch))
                    if self.order.sequential:
                        self.runner.run(("redraw", i), partial(update.redraw, i, critic, batch))
                self.runner.run("targets", partial(update.follow, self.tau))
        self._finish_training()

    def _begin_update(self) -> DeterministicUpdate:
        """The update with its numbers as they are now."""
        return DeterministicUpdate(
            policy=self.policy,
            choices=self._choices,
            discrete_gradient=self._gradient,
            backup=self._backup(),
            noise=self.target_policy_noise,
            noise_clip=self.target_noise_clip,
            generator=self.generator,
            metrics=self._metrics,
        )

    def _explore(self, obs: Mapping[str, Any]) -> Any:
        """The actors' actions with Gaussian noise; draws from the softmax, now and then uniform, where categorical."""
        actions = self.play(obs, deterministic=False)
        noise, epsilon = self.exploration_noise, self.exploration_epsilon
        if isinstance(noise, Noise):
            noise = noise.at(self.progress_remaining)
        masks = obs.get(ACTION_MASK)
        return self._noisy(actions, noise, epsilon, masks)
