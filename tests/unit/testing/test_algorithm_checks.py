"""`check_algorithm` finds what is wrong with an algorithm: each kind of broken promise is planted and caught."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest
import torch

from masoft.algorithms.soft_actor_critic import SoftActorCritic
from masoft.settings import settings
from masoft.testing import algorithm_checks as checks


class Sound(SoftActorCritic):
    """The template as it is."""


class Forgetful(SoftActorCritic):
    """Does not keep what it was given."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {**super().get_params(deep), "seed": 1}


@settings
class AnyDiscount:
    """Any number."""

    gamma: Annotated[float, checks.Real()] = 0.99


class Careless(AnyDiscount, SoftActorCritic):
    """Accepts any discount."""


class Global(SoftActorCritic):
    """Draws from PyTorch's own generator."""

    def train(self, gradient_steps: int, batch_size: int) -> None:
        torch.rand(1)
        super().train(gradient_steps, batch_size)


class Unseeded(SoftActorCritic):
    """Learns differently each time."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.generator.seed()


class Deaf(SoftActorCritic):
    """Ignores masks in predict."""

    def predict(self, observation: Any, *args: Any, action_masks: Any = None, **kwargs: Any) -> Any:
        return super().predict(observation, *args, **kwargs)


class Lazy(SoftActorCritic):
    """Learns nothing."""

    def train(self, gradient_steps: int, batch_size: int) -> None:
        self.logger.record("train/n_updates", 0)


def kit(algorithm: type[Any], max_timesteps: int = 500) -> checks.Kit:
    return checks.Kit(algorithm, {}, max_timesteps)


def test_a_sound_algorithm_passes_the_quick_checks() -> None:
    for check in (checks.check_parameters, checks.check_bad_arguments, checks.check_refusals):
        check(kit(Sound))


@pytest.mark.parametrize(
    ("algorithm", "check", "message"),
    [
        (Forgetful, checks.check_parameters, r"Forgetful: get_params\(\) must be what was passed, untouched"),
        (Global, checks.check_repeatable, "Global: Global random states must be left alone"),
        (Unseeded, checks.check_repeatable, "Two runs with one seed must be equal bit by bit"),
        (Lazy, checks.check_solves_identity, "The return on IdentityTeam must be at least 0.85 of the best"),
    ],
)
def test_a_broken_promise_is_found(algorithm: type[Any], check: checks.Check, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(kit(algorithm))


def test_a_constraint_that_accepts_everything_is_found_by_its_type_alone() -> None:
    # Without bounds there is nothing just outside; an object is refused all the same.
    checks.check_bad_arguments(kit(Careless))
    assert checks._just_outside([checks.Real(0, 1)]) == [-1, 2]
    assert checks._just_outside([checks.Real(0, open_low=True)]) == [-1, 0]
    assert checks._just_outside([checks.Integer(-1)]) == [-2]
    assert checks._just_outside([checks.Integer(1), checks.Real(-5, 5)]) == [-6]


def test_ignored_masks_are_found() -> None:
    with pytest.raises(AssertionError, match="mask"):
        checks.check_masks(kit(Deaf))


def test_small_settings_fit_both_families() -> None:
    assert checks.small_settings({"buffer_size": 1, "seed": 0}) == {"seed": 0, "buffer_size": 5_000}
    assert checks.small_settings({"n_steps": 1, "seed": 0}) == {"seed": 0, "n_steps": 20}


def test_global_states_are_compared_by_value() -> None:
    before = checks._global_random_states()
    assert checks._global_random_states() == before
    state = np.random.get_state()
    np.random.random()
    changed = checks._global_random_states()
    np.random.set_state(state)
    assert changed != before
