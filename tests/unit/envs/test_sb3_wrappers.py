"""stable-baselines3's VecEnv wrappers and supersuit's around teams; the page on wrappers names these tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supersuit
from gymnasium import spaces
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecVideoRecorder,
)
from toy_teams import MaskedInInfo, Toy, ToyWithState

from masoft import HAPPO, HASAC
from masoft.envs import TeamEnv, make, make_vec, team_of
from masoft.envs.wrapping import TeamFrameStack, norm_obs_keys
from masoft.errors import ConfigurationError, SpaceError
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)
ON: dict[str, Any] = dict(n_steps=10, batch_size=None, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
METHODS = pytest.mark.parametrize(("method", "settings"), [(HASAC, SMALL), (HAPPO, ON)])


class Pictures(Toy):
    """Agent ``a`` sees a picture, agent ``b`` two numbers; agent ``a`` has masks."""

    def __init__(self, **kwargs: Any) -> None:
        box = spaces.Box(-100, 100, (2,), np.float32)
        super().__init__(observations={"a": spaces.Box(0, 255, (1, 36, 36), np.uint8), "b": box}, **kwargs)

    def observation(self, agent):
        seen = super().observation(agent)
        return np.full((1, 36, 36), self.elapsed, np.uint8) if agent == "a" else seen

    def info(self, agent):
        return {"action_mask": np.array([1, 1, 0], np.int8)} if agent == "a" else {}


def act(env: Any, n: int = 1) -> Any:
    """Steps with legal choices of agents that may not take what the step number says."""
    for k in range(n):
        actions = np.zeros((env.num_envs, *env.action_space.shape))
        actions[:, 0] = (k + 1) % 3
        answer = env.step(actions)
    return answer


# ---------------------------------------------------------------- make_vec(normalize=, frame_stack=)


def test_normalize_scales_what_can_be_scaled() -> None:
    env = make_vec(MaskedInInfo, 2, normalize=True, length=5)
    assert isinstance(env, VecNormalize) and env.norm_obs_keys == ["a", "b"]
    env.reset()
    seen, rewards, _, _ = act(env)
    assert abs(seen["b"]).max() <= 10 and env.get_original_obs()["b"].tolist() == [[1, 1]] * 2
    assert set(np.unique(seen["action_mask"])) == {0, 1} and seen["active"].tolist() == [[1, 1]] * 2
    assert rewards[0] != env.get_original_reward()[0] == 1.5


def test_normalize_takes_a_word_for_observations_alone() -> None:
    env = make_vec(Toy, 1, normalize="observations")
    assert isinstance(env, VecNormalize) and env.norm_obs and not env.norm_reward
    with pytest.raises(ConfigurationError, match="normalize must be True, 'observations' or arguments of.*'rewards'"):
        make_vec(Toy, 1, normalize="rewards")


def test_normalize_takes_the_arguments_of_vec_normalize() -> None:
    env = make_vec(ToyWithState, 1, normalize={"norm_reward": False, "gamma": 0.9, "clip_obs": 3.0})
    assert (env.norm_reward, env.gamma, env.clip_obs) == (False, 0.9, 3.0)
    assert env.norm_obs_keys == ["a", "b", "state"] == norm_obs_keys(team_of(env))
    with pytest.raises(ConfigurationError, match="normalize must be arguments of VecNormalize.*'gama'"):
        make_vec(Toy, 1, normalize={"gama": 0.9})


def test_pictures_are_left_to_the_networks() -> None:
    assert make_vec(Pictures, 1, normalize=True).norm_obs_keys == ["b"]
    env = VecNormalize(make_vec(Pictures, 1), norm_obs_keys=["a", "b"])  # who asks for it gets it, in floats
    assert team_of(env).agents[0].observation_space.dtype == np.float32
    short = {"a": spaces.Box(0, 255, (2,), np.uint8), "b": spaces.Box(0, 9, (2,), np.float32)}
    env = VecNormalize(make_vec(lambda: Toy(observations=short)), norm_obs_keys=["a"])  # no picture: floats already
    assert team_of(env).agents[0].observation_space.dtype == np.float32


def test_frames_are_stacked_for_agents_alone() -> None:
    env = make_vec(lambda: MaskedInInfo(length=3), 2, frame_stack=3)
    assert isinstance(env, VecFrameStack) and [a.observation_shape for a in team_of(env).agents] == [(6,), (6,)]
    assert env.reset()["a"].tolist() == [[0, 0, 0, 0, 0, 0]] * 2
    assert act(env)[0]["b"].tolist() == [[0, 0, 0, 1, 1, 1]] * 2
    assert env.observation_space["action_mask"] == spaces.MultiBinary(3)
    env.reset()
    seen, _, dones, infos = act(env, 3)
    assert dones.all() and seen["b"].tolist() == [[0, 0, 0, 0, 0, 1]] * 2
    assert infos[0]["terminal_observation"]["b"].tolist() == [1, 1, 2, 1, 3, 1]
    assert infos[0]["terminal_observation"]["active"].tolist() == [1, 1]


def test_the_state_is_not_stacked_and_pictures_are_by_channel() -> None:
    assert team_of(make_vec(ToyWithState, 1, frame_stack=4)).state_size == 3
    env = make_vec(
        lambda: Pictures(length=9), 1, frame_stack={"n_stack": 2, "channels_order": {"a": "first", "b": "last"}}
    )
    assert team_of(env).agents[0].observation_shape == (2, 36, 36)
    env.reset()
    assert act(env)[0]["a"][0, :, 0, 0].tolist() == [0, 1]


def test_stacked_arrays_stay_as_they_were_handed_out() -> None:
    env = make_vec(Toy, 1, frame_stack=2)
    env.reset()
    seen = act(env)[0]
    env.reset()
    assert seen["b"].tolist() == [[0, 1, 1, 1]]


@METHODS
def test_both_together_train(method: Any, settings: dict[str, Any]) -> None:
    env = make_vec(
        lambda: IdentityTeam(("box", "discrete"), episode_length=5), 2, seed=0, normalize=True, frame_stack=3
    )
    model = method(env=env, **settings).learn(60)
    assert model.get_vec_normalize_env() is env and isinstance(env.venv, TeamFrameStack)
    assert all(tensor.isfinite().all() for tensor in model.policy.state_dict().values())
    if method is HASAC:  # raw frames are kept
        assert model.replay_buffer.frames["agent_0"].shape[-1] == team_of(env).agents[0].observation_shape[0]
    assert np.isfinite(model.score(n_eval_episodes=2))


def test_evaluation_with_statistics_of_training() -> None:
    env = make_vec(Toy, 2, seed=0, normalize=True, length=4)
    arena = make_vec(Toy, 1, seed=1, normalize={"training": False, "norm_reward": False}, length=4)
    callback = EvalCallback(arena, eval_freq=10, n_eval_episodes=1, verbose=0)
    HASAC(env, **SMALL).learn(40, callback=callback)
    assert callback.best_mean_reward == 6.0 and arena.obs_rms["a"].count == env.obs_rms["a"].count


@pytest.mark.parametrize("wrap", [VecNormalize, lambda env: VecFrameStack(env, 4)])
def test_the_bare_wrappers_error_names_the_way(wrap: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"make_vec\(\.\.\., normalize=True, frame_stack=4\)"):
        wrap(make_vec(Toy, 1))


def test_the_order_of_both_matters() -> None:
    with pytest.raises(ConfigurationError, match="VecNormalize must be outside of TeamFrameStack"):
        HASAC(TeamFrameStack(make_vec(Toy, 1, normalize=True), 4), **SMALL)


@pytest.mark.parametrize("n_stack", [0, 1.5, "4"])
def test_what_is_no_number_of_frames(n_stack: Any) -> None:
    with pytest.raises(ConfigurationError, match="frame_stack must be a number of frames"):
        make_vec(Toy, 1, frame_stack=n_stack)


# ---------------------------------------------------------------- the others


@METHODS
def test_vec_monitor(method: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    env = VecMonitor(DummyVecEnv([lambda: TeamEnv(Toy(length=4))] * 2), str(tmp_path / "log"))
    model = method(env=env, **settings).learn(20)
    assert {(info["r"], info["l"]) for info in model.ep_info_buffer} == {(6.0, 4)}
    env.close()
    assert "6.0,4" in (tmp_path / "log.monitor.csv").read_text()


def test_vec_monitor_around_monitors_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        VecMonitor(make_vec(Toy, 1))


@METHODS
def test_vec_check_nan(method: Any, settings: dict[str, Any]) -> None:
    model = method(env=VecCheckNan(make_vec(Toy, 2, seed=0), raise_exception=True), **settings).learn(20)
    with pytest.raises(ValueError, match="found nan in actions"):
        model.env.step(np.full((2, 3), np.nan))


class Filmed(Toy):
    """A toy with pictures for people."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(length=4, render_fps=5, **kwargs)
        self.render_mode = "rgb_array"

    def render(self):
        return np.full((32, 32, 3), 60 * self.elapsed, np.uint8)


def test_vec_video_recorder(tmp_path: Path) -> None:
    pytest.importorskip("moviepy", reason="pip install moviepy")
    env = VecVideoRecorder(make_vec(Filmed, 2, seed=0), str(tmp_path), lambda step: step == 0, video_length=6)
    HASAC(env, **SMALL).learn(20)
    env.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".mp4"]


@pytest.mark.parametrize(
    ("wrap", "shape"),
    [
        (lambda env: supersuit.frame_stack_v1(env, 3), (6,)),
        (lambda env: supersuit.dtype_v0(env, np.float32), (2,)),
        (lambda env: supersuit.normalize_obs_v0(env), (2,)),
        (lambda env: supersuit.clip_reward_v0(env), (2,)),
        (lambda env: supersuit.max_observation_v0(env, 2), (2,)),
        (lambda env: supersuit.sticky_actions_v0(env, 0.2), (2,)),
        (lambda env: supersuit.pad_observations_v0(env), (2,)),
        (lambda env: supersuit.agent_indicator_v0(env), (4,)),
        (lambda env: supersuit.black_death_v3(env), (2,)),
    ],
)
def test_supersuit_wrappers_before(wrap: Any, shape: tuple[int, ...]) -> None:
    kinds = {"a": spaces.Discrete(3), "b": spaces.Discrete(2)}
    env = make_vec(lambda: wrap(Toy(kinds, length=4)), 2, seed=0)
    assert team_of(env).agents[0].observation_shape == shape
    HASAC(env, **SMALL).learn(20)


def test_supersuit_skips_frames() -> None:
    env = make_vec(lambda: supersuit.frame_skip_v0(make("mpe/simple_spread_v3"), 5), 1)
    env.reset()
    assert [env.step(np.zeros((1, 3), int))[2][0] for _ in range(5)] == [False] * 4 + [True]


def test_supersuit_vectors_are_refused() -> None:
    env = Toy({"a": spaces.Discrete(3), "b": spaces.Discrete(3)})
    with pytest.raises(ConfigurationError, match="each agent as an environment of its own"):
        HASAC(supersuit.pettingzoo_env_to_vec_env_v1(env), **SMALL)


def test_bare_frame_stack_of_gymnasium_is_refused() -> None:
    from gymnasium.wrappers import FrameStackObservation

    with pytest.raises(SpaceError, match="frame_stack=4"):
        make_vec(Toy, 1, wrapper_class=lambda env: FrameStackObservation(env, 4))
