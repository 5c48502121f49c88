"""Off-policy methods whose agents remember: what they do while acting, learning, saving and going on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

import masoft
from masoft.errors import ConfigurationError
from masoft.mirror import KLBall, KLDrift
from masoft.mirror.schedule import Linear
from masoft.networks import Critic
from masoft.saving.checkpoint_callback import CheckpointCallback
from masoft.testing.games import CueTeam, IdentityTeam

SHORT: dict[str, Any] = {
    "learning_starts": 16, "batch_size": 16, "buffer_size": 200, "seed": 0,
    "policy_kwargs": {"net_arch": [8], "hidden_size": 4, "sequence_length": 4, "burn_in": 4},
}  # fmt: skip
METHODS = [
    ("HASAC", "RnnPolicy", {}),
    ("HASAC", "MlpLstmPolicy", {"n_steps": Linear(5, 1)}),
    ("MASAC", "MlpGruPolicy", {}),
    ("HATD3", "RnnPolicy", {}),
    ("MATD3", "MlpLstmPolicy", {}),
    ("MEHAML", "RnnPolicy", {"drift": KLDrift(0.5), "neighborhood": KLBall(0.1)}),
]


def build(name: str, policy: str, extra: dict[str, Any], env: Any = None, n_envs: int = 2) -> Any:
    env = masoft.make_vec(CueTeam, n_envs=n_envs, seed=1) if env is None else env
    return getattr(masoft, name)(policy, env, **{**SHORT, **extra})


class StopAt(BaseCallback):
    """A signal to this process, once."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def _on_step(self) -> bool:
        if self.num_timesteps == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
        return True


def weights(model: Any) -> list[torch.Tensor]:
    return [*model.policy.parameters()]


@pytest.mark.parametrize(("name", "policy", "extra"), METHODS)
def test_a_run_goes_on_in_the_middle_of_an_episode_as_if_it_had_never_stopped(
    name: str, policy: str, extra: dict[str, Any], tmp_path: Path
) -> None:
    whole = build(name, policy, extra).learn(60)
    # After 15 steps both environments are in the last of an episode's four steps.
    build(name, policy, extra).learn(60, callback=[CheckpointCallback(tmp_path, every=1000), StopAt(30)])
    again = getattr(masoft, name).resume(tmp_path, masoft.make_vec(CueTeam, n_envs=2, seed=1))
    assert again.num_timesteps == 30 and not again._starts.any() and again._memories[0].abs().sum() > 0
    again.learn(again.remaining_timesteps, reset_num_timesteps=False)
    assert again.num_timesteps == 60
    same = zip(weights(whole), weights(again), strict=True)
    assert all(torch.equal(one, other) for one, other in same)


@pytest.mark.parametrize(("name", "policy", "extra"), METHODS)
def test_saved_exported_and_live_teams_play_alike(
    name: str, policy: str, extra: dict[str, Any], tmp_path: Path
) -> None:
    model = build(name, policy, extra).learn(40)
    model.save(tmp_path / "model.zip")
    loaded = getattr(masoft, name).load(tmp_path / "model.zip")
    model.export(tmp_path / "actors")
    deployed = masoft.deploy.load(tmp_path / "actors")
    env = masoft.make_vec(CueTeam, n_envs=3, seed=5)
    obs, states, starts = env.reset(), [None] * 3, np.ones(3, bool)
    for _ in range(9):
        played = []
        for k, team in enumerate((model, loaded, deployed)):
            actions, states[k] = team.predict(obs, state=states[k], episode_start=starts, deterministic=True)
            played.append(actions)
        np.testing.assert_array_equal(played[0], played[1])
        np.testing.assert_array_equal(played[0], played[2])
        obs, _, starts, _ = env.step(played[0])


def test_the_memory_while_collecting_is_that_of_predict() -> None:
    model = build("HATD3", "RnnPolicy", {"exploration_noise": 0.0, "exploration_epsilon": 0.0})
    seen: list[tuple[dict[str, np.ndarray], np.ndarray]] = []

    def note(scope: dict[str, Any], _: Any) -> bool:
        seen.append((scope["self"]._last_obs, scope["dones"]))
        return True

    model.learn(14, callback=note)
    state, starts = None, np.ones(2, bool)
    for obs, dones in seen:
        _, state = model.predict(obs, state=state, episode_start=starts)
        starts = dones
    for kept, now in zip(model._memories, state, strict=True):
        np.testing.assert_allclose(kept.numpy(), now, atol=1e-6)


def test_normalised_observations_are_remembered() -> None:
    env = VecNormalize(masoft.make_vec(CueTeam, n_envs=2, seed=1), norm_obs_keys=["scout", "guard"])
    model = build("HASAC", "RnnPolicy", {}, env).learn(40)
    assert all(torch.isfinite(weight).all() for weight in weights(model))
    mean, _ = evaluate_policy(model, masoft.make_vec(CueTeam, n_envs=3, seed=9), 6, warn=False)
    assert 0 <= mean <= 1


def test_a_frozen_agent_and_a_script_play_along() -> None:
    model = build("HASAC", "RnnPolicy", {})
    model.freeze({"guard": lambda observation, mask: np.zeros(len(observation))})
    before = [weight.detach().clone() for weight in model.policy.actors[1].parameters()]
    model.learn(40)
    after = model.policy.actors[1].parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert model.num_timesteps == 40


class Leaving(IdentityTeam):
    """Mixed spaces and masks; the last agent leaves after two of five steps."""

    def __init__(self) -> None:
        super().__init__(("box", "discrete", "multidiscrete"), masks=True, episode_length=5)
        self.metadata = {**self.metadata, "has_deaths": True}
        self._taken = 0

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        self._taken = 0
        return super().reset(*args, **kwargs)

    def step(self, actions: Any) -> Any:
        self._taken += 1
        gone, playing = self.possible_agents[-1], [*self.agents]
        observations, rewards, terminations, truncations, infos = super().step(actions)
        if self._taken >= 2 and self.agents:
            terminations[gone] = True
            self.agents = self.possible_agents[:-1]
        return tuple(
            {name: part[name] for name in playing} for part in (observations, rewards, terminations, truncations, infos)
        )


def test_mixed_spaces_masks_and_deaths_are_remembered_too() -> None:
    team = Leaving()
    for name in ("HASAC", "HATD3", "MEHAML"):
        model = build(name, "RnnPolicy", {}, team).learn(40)
        assert all(torch.isfinite(weight).all() for weight in weights(model))


class Linear(Critic):
    """One layer over the state and the joint action."""

    def __init__(self, team: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(team.critic_state_size + team.encoded_size, 2)

    def forward(self, state: torch.Tensor, joint_action: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.cat([state, joint_action], dim=-1)).T


@pytest.mark.parametrize("name", ["HASAC", "HATD3"])
def test_a_critic_of_ones_own_sees_states_as_ever(name: str) -> None:
    kwargs = {**SHORT["policy_kwargs"], "critic": Linear}
    model = build(name, "RnnPolicy", {"policy_kwargs": kwargs}).learn(40)
    assert model._n_updates > 0 and isinstance(model.sample_batch(8).state, torch.Tensor)


def test_another_memory_than_the_files_is_refused(tmp_path: Path) -> None:
    build("HASAC", "RnnPolicy", {}).save(tmp_path / "model.zip")
    with pytest.raises(ConfigurationError, match="policy of a trained HASAC must be what it was trained with"):
        masoft.HASAC.load(tmp_path / "model.zip", policy="MlpLstmPolicy")
    changed = {**SHORT["policy_kwargs"], "burn_in": 2}
    assert masoft.HASAC.load(tmp_path / "model.zip", policy_kwargs=changed).policy.stretch.before == 2
