"""Noise of exploration as objects: the same as the number, scheduled, one's own, in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from masoft import HATD3
from masoft.errors import ConfigurationError
from masoft.mirror import GaussianNoise, Linear, Noise, UniformNoise
from masoft.testing.games import IdentityTeam

SHORT: dict[str, Any] = {
    "learning_starts": 8, "batch_size": 8, "buffer_size": 200, "seed": 0, "policy_kwargs": {"net_arch": [8]},
}  # fmt: skip


@dataclass(frozen=True)
class Constant(Noise):
    """Always the same."""

    step: float = 0.25

    def draw(self, shape: tuple[int, int], generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.full(shape, self.step)


def actions(noise: Any, steps: int = 40) -> np.ndarray:
    model = HATD3(IdentityTeam(("box", "discrete")), exploration_noise=noise, **SHORT).learn(steps)
    stored: np.ndarray = model.replay_buffer.actions[:steps].numpy()
    return stored


def test_a_number_is_gaussian_noise() -> None:
    np.testing.assert_array_equal(actions(0.1), actions(GaussianNoise(0.1)))
    assert not np.array_equal(actions(0.1), actions(GaussianNoise(0.2)))


def test_a_schedule_of_the_scale_is_followed() -> None:
    model = HATD3(IdentityTeam(("box",)), exploration_noise=GaussianNoise(Linear(1.0, 0.0)), **SHORT).learn(40)
    obs = model.env.reset()
    np.testing.assert_array_equal(model._explore(obs), model.policy.act(obs, deterministic=True))


def test_draws_have_their_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    normal, uniform = (kind.draw((20_000, 2), generator) for kind in (GaussianNoise(0.3), UniformNoise(0.3)))
    assert abs(float(normal.std()) - 0.3) < 0.01 and float(uniform.abs().max()) <= 0.3
    assert abs(float(uniform.std()) - 0.3 / 3**0.5) < 0.005


def test_ones_own_is_added_clipped_saved_and_loaded(tmp_path: Path) -> None:
    model = HATD3(IdentityTeam(("box",)), exploration_noise=Constant(0.25), **SHORT).learn(20)
    obs = model.env.reset()
    quiet = model.policy.act(obs, deterministic=True)
    np.testing.assert_allclose(model._explore(obs), np.clip(quiet + 0.25, -1, 1), atol=1e-6)
    model.save(tmp_path / "model.zip")
    assert HATD3.load(tmp_path / "model.zip", trusted=[Constant]).exploration_noise == Constant(0.25)


@pytest.mark.parametrize("noise", [-0.1, "much", GaussianNoise])
def test_what_is_no_noise_is_refused(noise: Any) -> None:
    with pytest.raises(ConfigurationError, match="exploration_noise"):
        HATD3(IdentityTeam(("box",)), exploration_noise=noise)


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'scale' parameter of GaussianNoise"):
        GaussianNoise(-1.0)
