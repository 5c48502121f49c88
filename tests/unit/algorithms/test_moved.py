"""Environments that somebody else moves: episodes are cut there, nothing is learned across the gap."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from masoft import HAPPO, HASAC, QMIX
from masoft.envs import TeamEnv, as_vec_env, make_vec

MOVED = "The training environments were moved by somebody else"


class Clock(ParallelEnv):
    """Two agents that see the number of the episode and of the step; 7 steps an episode."""

    def __init__(self) -> None:
        self.metadata = {"name": "clock", "has_masks": False, "has_deaths": False}
        self.render_mode = None
        self.possible_agents = ["a", "b"]
        self.episode = self.elapsed = 0

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(0, 10_000, (2,), np.float32)

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(2)

    def _seen(self) -> dict[str, Any]:
        return {agent: np.array([self.episode, self.elapsed], np.float32) for agent in self.possible_agents}

    def reset(self, seed: Any = None, options: Any = None) -> Any:
        self.agents, self.episode, self.elapsed = self.possible_agents[:], self.episode + 1, 0
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: Any) -> Any:
        self.elapsed += 1
        ends = self.elapsed == 7
        acted, self.agents = self.agents, [] if ends else self.agents
        flags = dict.fromkeys(acted, False)
        return self._seen(), dict.fromkeys(acted, 1.0), flags, dict.fromkeys(acted, ends), {a: {} for a in acted}


OFF: dict[str, Any] = dict(
    learning_starts=1000, buffer_size=500, batch_size=8, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)
ON: dict[str, Any] = dict(n_steps=200, batch_size=None, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
METHODS = pytest.mark.parametrize(
    ("method", "settings"),
    [(HASAC, OFF), (HAPPO, ON), (QMIX, {**OFF, "policy": "RnnPolicy"})],
    ids=["hasac", "happo", "qmix"],
)


def joins(model: Any) -> list[tuple[Any, Any]]:
    """Pairs of what was seen before and after a stored step that are not one step of one episode; all must be none."""
    buffer = getattr(model, "replay_buffer", None) or model.rollout_buffer
    n = buffer.pos
    seen = buffer.frames["a"].numpy()
    found = []
    for step in range(n):
        for env in range(seen.shape[1]):
            if isinstance(model, HAPPO):
                after = next((o["a"] for s, e, o in buffer.finals if (s, e) == (step, env)), None)
                after = seen[step + 1, env] if after is None and step + 1 < n else after
            else:
                slot = int(buffer.final_slots[step, env])
                after = seen[step + 1, env] if slot < 0 else buffer.finals["a"][slot].numpy()
            before = seen[step, env]
            if after is not None and not np.allclose(after, before + [0, 1]):
                found.append((before.tolist(), np.asarray(after).tolist()))
    assert n > 0
    return found


class At(BaseCallback):
    """Does something in the middle of a run."""

    def __init__(self, step: int, do: Callable[[Any], Any]) -> None:
        super().__init__()
        self.step, self.do = step, do

    def _on_step(self) -> bool:
        if self.n_calls == self.step:
            self.do(self.model)
        return True


def play(env: Any, n: int) -> None:
    env.reset()
    for _ in range(n):
        env.step(np.zeros((env.num_envs, 2), int))


def clocks(backend: str) -> Any:
    if backend == "sb3-dummy":
        return DummyVecEnv([lambda: TeamEnv(Clock())] * 2)
    if backend == "sb3-subproc":
        return SubprocVecEnv([lambda: TeamEnv(Clock())] * 2)
    return make_vec(Clock, 2, seed=0, backend=backend)


@METHODS
@pytest.mark.parametrize("backend", ["dummy", "subproc", "sb3-dummy", "sb3-subproc"])
def test_evaluation_in_the_training_environment(method: Any, settings: dict[str, Any], backend: str) -> None:
    env = clocks(backend)
    model = method(env=env, **settings)
    with pytest.warns(UserWarning, match=MOVED) as said:
        model.learn(60, callback=EvalCallback(env, eval_freq=10, n_eval_episodes=2, verbose=0, warn=False))
    assert joins(model) == [] and len([each for each in said if MOVED in str(each.message)]) == 1
    env.close()


@METHODS
@pytest.mark.parametrize("backend", ["dummy", "subproc"])
def test_steps_by_hand_between_two_calls_of_learn(method: Any, settings: dict[str, Any], backend: str) -> None:
    env = clocks(backend)
    model = method(env=env, **settings).learn(20)
    play(env, 3)
    with pytest.warns(UserWarning, match=MOVED):
        model.learn(20, reset_num_timesteps=False)
    env.step(np.zeros((2, 2), int))  # without a reset
    model.learn(20, reset_num_timesteps=False)  # said once
    assert joins(model) == []
    env.close()


@METHODS
def test_the_team_or_the_simulator_of_the_training_environment(method: Any, settings: dict[str, Any]) -> None:
    simulator = Clock()
    team = TeamEnv(simulator)
    model = method(env=team, **settings).learn(10)
    moves = [
        lambda: evaluate_policy(model, DummyVecEnv([lambda: team]), n_eval_episodes=1, warn=False),
        lambda: evaluate_policy(model, as_vec_env(simulator), n_eval_episodes=1, warn=False),
        lambda: model.score(simulator, 1),
        lambda: team.reset(),
        lambda: team.step([0, 0]),
    ]
    for move in moves:
        model._has_warned_of_moves = False
        move()
        with pytest.warns(UserWarning, match=MOVED):
            model.learn(10, reset_num_timesteps=False)
    assert joins(model) == []


@METHODS
def test_score_cuts_the_episodes_without_a_word(method: Any, settings: dict[str, Any]) -> None:
    model = method(env=clocks("dummy"), **settings)
    model.learn(30, callback=At(5, lambda model: model.score(n_eval_episodes=2)))
    assert model.score(n_eval_episodes=2) == 7
    model.learn(10, reset_num_timesteps=False)
    assert joins(model) == []


@METHODS
def test_nothing_is_said_where_nothing_moves(method: Any, settings: dict[str, Any]) -> None:
    env = clocks("dummy")
    model = method(env=env, **settings).learn(20)
    env.seed(3)
    model.learn(
        20, reset_num_timesteps=False, callback=EvalCallback(clocks("dummy"), eval_freq=5, warn=False, verbose=0)
    )
    model.learn(20)
    play(env, 2)
    model.learn(20)  # starts anew anyway
    model.set_env(clocks("dummy"))
    model.learn(10, reset_num_timesteps=False)


@pytest.mark.parametrize("method", [HASAC, QMIX])
def test_a_run_without_moves_is_the_same_as_in_one_call(method: Any) -> None:
    one = method(env=make_vec(Clock, 2, seed=0), **OFF).learn(40)
    two = method(env=make_vec(Clock, 2, seed=0), **OFF).learn(20)
    two.learn(20, reset_num_timesteps=False)
    for name, frame in one.replay_buffer.frames.items():
        assert (frame[:20] == two.replay_buffer.frames[name][:20]).all()


class StopOnce(BaseCallback):
    """Ends learning within a step, whose transition stable-baselines3 does not store."""

    def _on_step(self) -> bool:
        return self.n_calls != 5


@METHODS
def test_a_step_that_was_not_stored_ends_the_episode(method: Any, settings: dict[str, Any]) -> None:
    model = method(env=clocks("dummy"), **settings).learn(40, callback=StopOnce())
    model.learn(20, reset_num_timesteps=False)
    assert joins(model) == []


@pytest.mark.parametrize("own", [True, False])
def test_under_vec_normalize(own: bool) -> None:
    """Raw observations are stored, from the step that was taken, or none at all."""
    env = VecNormalize(clocks("dummy"), norm_obs_keys=["a", "b"])
    arena = env if own else VecNormalize(clocks("dummy"), norm_obs_keys=["a", "b"], training=False)
    model = HASAC(env, **OFF)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.learn(60, callback=EvalCallback(arena, eval_freq=10, n_eval_episodes=2, verbose=0, warn=False))
    assert joins(model) == [] and any(MOVED in str(each.message) for each in said) == own


def test_score_leaves_the_statistics_of_training() -> None:
    env = VecNormalize(clocks("dummy"), norm_obs_keys=["a", "b"], norm_reward=True)
    model = HASAC(env, **OFF).learn(50)

    def moments() -> list[Any]:
        all_moments = [*env.obs_rms.values(), env.ret_rms]
        return [value for m in all_moments for value in (np.array(m.mean), np.array(m.var), m.count)]

    before = moments()
    assert model.score(n_eval_episodes=3) == model.score(Clock, 3) == model.score(clocks("sb3-dummy"), 3) == 7.0
    own = VecNormalize(make_vec(Clock, 1), norm_obs_keys=["a", "b"])
    assert model.score(own, 2) == 7.0 and own.ret_rms.count < 1
    assert all(np.array_equal(a, b) for a, b in zip(before, moments(), strict=True))
    assert env.training and env.norm_reward


def test_score_elsewhere_sees_what_training_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_vec(Clock, 1, normalize=True, frame_stack=3)
    model = HASAC(env, **OFF).learn(30)
    seen: list[Any] = []
    predict = model.predict

    def spy(observation: Any, **options: Any) -> Any:
        seen.append({name: values.copy() for name, values in observation.items()})
        return predict(observation, **options)

    monkeypatch.setattr(model, "predict", spy)
    model.score(Clock, 1)
    raw = {name: np.array([[0, 0, 0, 0, 2, 0]], np.float32) for name in ("a", "b")}
    np.testing.assert_allclose(seen[0]["a"], env.normalize_obs(raw)["a"])


def test_a_checkpoint_after_a_move_starts_episodes_anew(tmp_path: Any) -> None:
    from masoft.testing.games import IdentityTeam

    def make() -> Any:
        return IdentityTeam(("box", "box"), episode_length=9)

    for moves in (False, True):
        env = make_vec(make, 1, seed=0)
        model = HASAC(env, **OFF).learn(5)
        if moves:
            env.reset()
        model.save_checkpoint(tmp_path / str(moves))
        again = HASAC.resume(tmp_path / str(moves), make_vec(make, 1, seed=0), device="cpu")
        assert (again._last_obs is None) == moves
