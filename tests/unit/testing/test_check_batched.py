"""The kit for simulators of many environments finds what each broken one breaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from masoft.envs import BatchedStep, BatchedVecEnv
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.spec import ACTIVE, make_team_spec
from masoft.testing import check_batched


class Walk(BatchedVecEnv):
    """Two agents on a line; an episode ends after four to six steps."""

    def __init__(self, n_envs: int) -> None:
        names = ("left", "right")
        seen, box = spaces.Box(-99, 99, (2,), np.float32), spaces.Box(-1, 1, (1,), np.float32)
        team = make_team_spec(dict.fromkeys(names, seen), dict.fromkeys(names, box), has_deaths=False)
        super().__init__(n_envs, team, team_reward="mean", name="walk")
        self.rngs = [np.random.default_rng() for _ in range(n_envs)]
        self.places, self.left = np.zeros((n_envs, 2), np.float32), np.zeros(n_envs, int)

    def _start(self, seeds: Any) -> dict[str, Any]:
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        return self._begin(np.ones(self.num_envs, bool))

    def _advance(self, actions: Any) -> BatchedStep:
        self.places, self.left = (self.places + actions).astype(np.float32), self.left - 1
        finals, over = self._seen(), self.left == 0
        return BatchedStep(self._begin(over), finals, self.places.copy(), np.zeros_like(over), over)

    def _begin(self, where: Any) -> dict[str, Any]:
        self.places, self.left = self.places.copy(), self.left.copy()
        for env in np.flatnonzero(where):
            self.places[env], self.left[env] = self.rngs[env].uniform(-5, 5, 2), self.rngs[env].integers(4, 7)
        return self._seen()

    def _seen(self) -> dict[str, Any]:
        flags = np.ones((self.num_envs, 2), np.int8)
        return {"left": self.places.copy(), "right": self.places[:, ::-1].copy(), ACTIVE: flags}


class Forgetful(Walk):
    """Draws from a generator that no seed reaches."""

    def _start(self, seeds: Any) -> dict[str, Any]:
        return super()._start([None] * len(seeds))


class Overwriting(Walk):
    """Gives the same array at each step."""

    def _seen(self) -> dict[str, Any]:
        if not hasattr(self, "shared"):
            self.shared = super()._seen()
        for name, values in super()._seen().items():
            self.shared[name][:] = values
        return self.shared


class Changing(Walk):
    """What it changes of each step."""

    changes: dict[str, Any] = {}

    def _advance(self, actions: Any) -> BatchedStep:
        step = super()._advance(actions)
        return replace(step, **{name: change(getattr(step, name)) for name, change in self.changes.items()})


def test_a_sound_one_passes() -> None:
    check_batched(Walk)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (Forgetful, {}, "The same seed must give the same run"),
        (Overwriting, {}, "must not be written over"),
        (Changing, {"finals": lambda given: {"left": given["left"], "right": given["right"]}}, "an entry 'active'"),
        (Changing, {"finals": lambda given: {**given, "left": given["left"][:, :1]}}, r"shape \(5, 2\). Got \(5, 1\)"),
        (Changing, {"finals": lambda given: {**given, "left": given["left"] + 1}}, "'left' of an episode that goes on"),
        (Changing, {"truncated": lambda given: given.astype(int)}, "'truncated' must be 5 booleans. Got int64"),
    ],
)
def test_what_is_broken_is_named(kind: Any, changes: dict[str, Any], words: str) -> None:
    made = type(kind.__name__, (kind,), {"changes": changes})
    with pytest.raises(EnvironmentFault, match=words):
        check_batched(made)


def test_something_else_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a BatchedVecEnv"):
        check_batched(lambda n: [n])  # type: ignore[arg-type, return-value]
