"""stable-baselines3's own tools, each used with a real masoft model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

import masoft
from masoft import HASAC
from masoft.envs import TeamEnv

TASK = "mpe/simple_speaker_listener_v4"
SMALL: dict[str, Any] = dict(learning_starts=30, batch_size=16, policy_kwargs=dict(net_arch=[16]), seed=0, device="cpu")


def make_team() -> TeamEnv:
    return TeamEnv(masoft.make(TASK, continuous_actions=True))


def test_eval_callback_saves_a_best_model_that_loads(tmp_path: Path) -> None:
    callback = EvalCallback(
        masoft.make_vec(TASK, seed=1), n_eval_episodes=2, eval_freq=40, best_model_save_path=str(tmp_path), verbose=0
    )
    HASAC(TASK, **SMALL).learn(90, callback=callback)
    assert np.isfinite(callback.best_mean_reward)
    best = HASAC.load(tmp_path / "best_model.zip")
    actions = best.predict({"speaker_0": np.zeros(3), "listener_0": np.zeros(11)}, deterministic=True)
    assert set(actions) == {"speaker_0", "listener_0"}


def test_checkpoint_callback_saves_model_and_replay_buffer(tmp_path: Path) -> None:
    callback = CheckpointCallback(40, str(tmp_path), save_replay_buffer=True)
    model = HASAC(TASK, **SMALL).learn(45, callback=callback)
    assert model.replay_buffer.size() == 45
    other = HASAC(TASK, **SMALL)
    other.load_replay_buffer(next(tmp_path.glob("*replay_buffer*")))
    assert other.replay_buffer.size() == 39  # SB3 calls back before the 40th step is stored
    assert len(list(tmp_path.glob("*.zip"))) >= 1


def test_vec_normalize_scales_what_is_drawn_and_keeps_what_is_stored_raw() -> None:
    raw = DummyVecEnv([make_team])
    names = ["speaker_0", "listener_0"]
    env = VecNormalize(raw, norm_obs_keys=names)
    model = HASAC(env, **SMALL).learn(80)
    wrapper = model.get_vec_normalize_env()
    assert wrapper is env
    batch = model.sample_batch(64)
    stored = model.replay_buffer.gather(torch.arange(10), torch.zeros(10, dtype=torch.long))
    expected = env.normalize_obs({name: stored.observations[i].numpy() for i, name in enumerate(names)})["listener_0"]
    from masoft.algorithms.normalise import VecNormalizer

    drawn = model.replay_buffer.gather(torch.arange(10), torch.zeros(10, dtype=torch.long), VecNormalizer(env))
    np.testing.assert_allclose(drawn.observations[1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(drawn.rewards, env.normalize_reward(stored.rewards.numpy()), rtol=1e-4)
    assert batch.rewards.abs().max() <= env.clip_reward
    assert not np.allclose(stored.observations[1], expected)


def test_vec_monitor_reports_episodes() -> None:
    model = HASAC(VecMonitor(DummyVecEnv([make_team])), **SMALL).learn(60)
    assert model.ep_info_buffer is not None and len(model.ep_info_buffer) == 2
    assert model.ep_info_buffer[0]["l"] == 25


def test_subprocess_environments_train() -> None:
    env = masoft.make_vec(TASK, n_envs=2, backend="subproc", seed=0)
    try:
        assert isinstance(env, SubprocVecEnv)
        model = HASAC(env, **SMALL).learn(60)
        assert model.num_timesteps == 60
    finally:
        env.close()


def test_make_vec_env_and_evaluate_policy() -> None:
    env = make_vec_env(make_team, n_envs=2, seed=0)
    model = HASAC(env, **SMALL).learn(60)
    mean, std = evaluate_policy(model, env, n_eval_episodes=4)
    assert np.isfinite(mean) and std >= 0
    assert np.isfinite(model.score(n_eval_episodes=2))


def test_tensorboard_log_is_written(tmp_path: Path) -> None:
    HASAC(TASK, tensorboard_log=str(tmp_path), **SMALL).learn(120, log_interval=1)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(tmp_path.iterdir())))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"rollout/ep_rew_mean", "train/critic_loss", "train/actor_loss", "train/ent_coef"} <= set(tags)


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_progress_bar_runs(capsys: pytest.CaptureFixture[str]) -> None:
    HASAC(TASK, **SMALL).learn(50, progress_bar=True)
    out = capsys.readouterr()
    assert "50" in out.out + out.err


def test_learning_goes_on_where_it_stopped() -> None:
    model = HASAC(TASK, **SMALL).learn(60)
    model.learn(40, reset_num_timesteps=False)
    assert model.num_timesteps == 100
    model.learn(40)
    assert model.num_timesteps == 40
