"""Observations whose common part is kept once: the same numbers, slopes and updates as with one array an agent."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecNormalize

from masoft import HASAC, make_vec
from masoft.buffers.views import apply_view, tagged_rows
from masoft.functional.observations import TaggedRows
from masoft.spec import StateView
from masoft.testing.games import IdentityTeam

N_AGENTS, STATE = 3, 6


class Numbered(IdentityTeam):
    """Everybody sees all targets and its own number."""

    def __init__(self) -> None:
        super().__init__(("box",) * N_AGENTS)
        self.observation_views = {
            name: StateView(position=i, one_hot_size=N_AGENTS, standardise=True)
            for i, name in enumerate(self.possible_agents)
        }
        self.state_view = StateView()
        self.metadata["state_is_observations"] = False

    def observation_space(self, agent: str) -> Any:
        from gymnasium import spaces

        return spaces.Box(-np.inf, np.inf, (STATE + N_AGENTS,), np.float32)

    def state(self) -> np.ndarray:
        return np.concatenate([player.show(self._targets[name]) for name, player in self._players.items()])

    def _seen(self) -> dict[str, np.ndarray]:
        state = torch.as_tensor(self.state()).unsqueeze(0)
        return {name: apply_view(view, state)[0].numpy() for name, view in self.observation_views.items()}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        _, infos = super().reset(seed, options)
        return self._seen(), infos

    def step(self, actions: dict[str, Any]) -> Any:
        _, *others = super().step(actions)
        return self._seen(), *others


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("indices", [None, (3, 1, 0)])
def test_rows_products_and_slopes(indices: tuple[int, ...] | None, standardise: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(9, STATE, dtype=torch.float64, generator=generator)
    made: dict[StateView, tuple[torch.Tensor, torch.Tensor]] = {}
    for position in (0, 2):
        view = StateView(indices, position, 4, standardise)
        expected, found = apply_view(view, state), tagged_rows(view, state, made)
        torch.testing.assert_close(found.written_out(), expected)
        weight = torch.randn(5, expected.shape[1], dtype=torch.float64, generator=generator)
        gradient = torch.randn(9, 5, dtype=torch.float64, generator=generator)
        torch.testing.assert_close(found.times(weight), expected @ weight.t())
        torch.testing.assert_close(found.slope(gradient), gradient.t() @ expected)
    assert len(made) == 1


def trained(n_updates: int, **kwargs: Any) -> Any:
    model = HASAC(
        make_vec(Numbered, seed=0), batch_size=16, learning_starts=1000, policy_kwargs={"net_arch": [16, 16], **kwargs},
        learning_rate=1e-2, device="cpu", seed=0,
    )  # fmt: skip
    model.learn(60)
    model.train(n_updates, 16)
    return model


@pytest.mark.parametrize("kwargs", [{}, {"activation_fn": "tanh"}, {"share_parameters": True}])
def test_updates_are_the_same(kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trained(3, **kwargs)
    assert isinstance(plain.sample_batch(4).observations[0], torch.Tensor)
    monkeypatch.setattr("masoft.buffers.replay.TAGGED_FROM", 1)
    tagged = trained(3, **kwargs)
    assert isinstance(tagged.sample_batch(4).observations[0], TaggedRows)
    for mine, other in zip(tagged.policy.parameters(), plain.policy.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_normalised_observations_are_each_agents_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.buffers.replay.TAGGED_FROM", 1)
    keys = [*Numbered().possible_agents, "state"]
    env = VecNormalize(make_vec(Numbered, seed=0), norm_obs_keys=keys)
    model = HASAC(env, batch_size=8, learning_starts=20, seed=0, device="cpu")
    model.learn(30)
    assert isinstance(model.sample_batch(4).observations[0], torch.Tensor)


def test_a_batch_for_others_has_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masoft.buffers.replay.TAGGED_FROM", 1)
    buffer = copy.deepcopy(trained(0).replay_buffer)
    assert all(isinstance(seen, torch.Tensor) for seen in buffer.sample(4).observations)
