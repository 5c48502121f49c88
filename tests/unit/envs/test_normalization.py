"""What training saw scaled stays so: in files, other environments, exported actors, every game that is played."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecNormalize, unwrap_vec_normalize
from toy_teams import Toy

import masoft
from masoft import HAPPO, HASAC
from masoft.envs import make_vec, register
from masoft.envs.normalization import RETURNS
from masoft.envs.vector import make_alone
from masoft.errors import ConfigurationError, ModelFileError
from masoft.runs.driver import environments, learn, new_model
from masoft.runs.evaluations import Evaluations
from masoft.runs.playing import play
from masoft.runs.settings import RunSettings
from masoft.saving.parts import NormalizeStatistics, normalization_in
from masoft.studies import contributions, cross_play, draw_policies, record_episode
from masoft.studies.teams import choice_probabilities

SPREAD = "mpe/simple_spread_v3"
SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=400, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)
ON: dict[str, Any] = dict(n_steps=10, batch_size=None, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
METHODS = pytest.mark.parametrize(("method", "settings"), [(HASAC, SMALL), (HAPPO, ON)])


def trained(method: Any = HASAC, settings: dict[str, Any] = SMALL, **how: Any) -> Any:
    env = make_vec(SPREAD, 2, seed=0, continuous_actions=True, **{"normalize": True, **how})
    return method(env=env, **settings).learn(60)


def raw(n: int = 1, **how: Any) -> Any:
    return make_vec(SPREAD, n, seed=5, continuous_actions=True, **how)


def assert_same(one: Any, other: Any) -> None:
    assert dict(one.settings) == dict(other.settings) and set(one.moments) == set(other.moments) > {RETURNS}
    for key, moments in one.moments.items():
        assert all(np.array_equal(moments[name], other.moments[key][name]) for name in ("mean", "var", "count"))


@METHODS
def test_a_file_keeps_it(method: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    model = trained(method, settings)
    model.save(tmp_path / "model")
    alone, inside = (method.load(tmp_path / "model", env=env) for env in (None, raw(3)))
    assert_same(alone.normalization, model.normalization)
    assert_same(inside.normalization, model.normalization)
    scores = [each.score(raw(), n_eval_episodes=2) for each in (model, alone, inside)]
    assert scores[0] == scores[1] == scores[2]
    before = inside.normalization.moments["agent_0"]["count"]
    inside.learn(60)
    assert inside.normalization.moments["agent_0"]["count"] >= before + 60  # they go on from there
    alone.save(tmp_path / "again")  # without environments nothing is lost
    assert_same(method.load(tmp_path / "again").normalization, model.normalization)


def test_observations_are_scaled_as_the_wrapper_scales_them() -> None:
    model = trained()
    env = model.get_vec_normalize_env()
    seen = {name: np.asarray(values) for name, values in env.get_original_obs().items()}
    expected = env.normalize_obs(seen)
    for name, values in model.normalize_obs(seen).items():
        assert values.dtype == expected[name].dtype and np.array_equal(values, expected[name])
    assert expected["agent_1"].dtype == np.float32
    single = model.normalize_obs({"agent_1": seen["agent_1"][0]})
    assert np.array_equal(single["agent_1"], expected["agent_1"][0])


def test_without_a_wrapper_nothing_is_scaled(tmp_path: Path) -> None:
    model = HASAC(env=raw(), **SMALL)
    model.save(tmp_path / "model")
    seen = {"agent_0": np.ones(18, np.float32)}
    assert model.normalization is None and model.normalize_obs(seen) is seen
    later = HASAC.load(tmp_path / "model", env=make_vec(SPREAD, continuous_actions=True, normalize=True))
    assert later.normalization is not None  # a new one starts where it starts
    assert later.normalization.moments["agent_0"]["count"] < 1


def test_a_wrapper_of_ones_own_takes_the_statistics(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "model")
    own = VecNormalize(raw(), norm_obs_keys=["agent_0", "agent_1", "agent_2"], clip_obs=3.0)
    again = HASAC.load(tmp_path / "model", env=own)
    assert again.get_vec_normalize_env() is own and own.clip_obs == 3.0
    assert np.array_equal(own.obs_rms["agent_2"].mean, model.normalization.moments["agent_2"]["mean"])
    fewer = VecNormalize(raw(), norm_obs_keys=["agent_0"])
    with pytest.raises(ConfigurationError, match=r"norm_obs_keys of the VecNormalize must be the same.*\['agent_0'\]"):
        HASAC.load(tmp_path / "model", env=fewer)


def test_environments_that_follow_are_scaled_alike() -> None:
    model = trained()
    mean = model.normalization.moments["agent_0"]["mean"]
    model.set_env(raw(2))
    assert np.array_equal(model.get_vec_normalize_env().obs_rms["agent_0"].mean, mean)
    anew = make_vec(SPREAD, 2, continuous_actions=True, normalize=True)
    model.set_env(anew)  # who brings a wrapper for a second task means it
    assert model.get_vec_normalize_env() is anew and anew.obs_rms["agent_0"].count < 1


def test_a_checkpoint_of_before_has_no_settings() -> None:
    model = trained()
    stored = NormalizeStatistics(model).state_dict()
    del stored["settings"]
    wrapper = model.get_vec_normalize_env()
    wrapper.obs_rms["agent_0"].mean = np.zeros(18)
    NormalizeStatistics(model).load_state_dict(stored)
    assert np.array_equal(wrapper.obs_rms["agent_0"].mean, stored["moments"]["agent_0"]["mean"])
    bare = HASAC(env=raw(2), **SMALL)
    NormalizeStatistics(bare).load_state_dict(stored)
    assert bare.normalization is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values["settings"].pop("gamma"),
        lambda values: values["moments"]["agent_0"].pop("var"),
        lambda values: values["moments"]["agent_1"].update(mean=np.full(18, np.nan)),
        lambda values: values.update(moments=7),
    ],
)
def test_a_damaged_file_is_refused(damage: Any) -> None:
    stored = NormalizeStatistics(trained()).state_dict()
    stored = {**stored, "settings": {**stored["settings"]}, "moments": {k: {**v} for k, v in stored["moments"].items()}}
    assert normalization_in(stored) is not None
    damage(stored)
    with pytest.raises(ModelFileError, match="What the file says of scaled observations"):
        normalization_in(stored)


def test_statistics_of_another_shape_are_refused() -> None:
    known = trained().normalization
    with pytest.raises(ConfigurationError, match="env must be environments that give .*'agent_2'.*Got .*'agent_1'"):
        known.around(make_vec(SPREAD, N=2, continuous_actions=True))
    with pytest.raises(ConfigurationError, match=r"shape of the statistics of 'agent_0' must be \(36,\).*Got \(18,\)"):
        known.around(raw(frame_stack=2))


def test_exported_actors_scale_by_themselves(tmp_path: Path) -> None:
    model = trained(normalize={"clip_obs": 1.0})
    model.export(tmp_path)
    model.save(tmp_path / "model")
    HASAC.load(tmp_path / "model").export(tmp_path / "again")
    env = raw(4)
    seen: Any = env.reset()
    expected, _ = model.predict(model.normalize_obs(seen), deterministic=True)
    plain, _ = model.predict(seen, deterministic=True)
    assert np.abs(expected - plain).max() > 1e-3
    for folder in (tmp_path, tmp_path / "again"):
        actions, _ = masoft.deploy.load(folder).predict(seen)
        assert np.allclose(actions, expected, atol=1e-6)


def test_teammates_see_what_they_were_trained_on(tmp_path: Path) -> None:
    scaled, plain = trained(normalize={"clip_obs": 50.0}), HASAC(env=raw(2), **{**SMALL, "seed": 3})
    host = trained()
    scaled.export(tmp_path)
    exported = masoft.deploy.load(tmp_path)
    seen: Any = raw(3).reset()
    own = {name: seen[name] for name in ("agent_0", "agent_1", "agent_2")}
    shown = host.normalize_obs(own)
    for mate, view in ((scaled, scaled.normalize_obs(own)), (plain, own), (exported, own)):
        expected = mate.predict(view, deterministic=True)["agent_1"]
        host.freeze({"agent_1": mate})
        assert np.allclose(host.predict(shown, deterministic=True)["agent_1"], expected, atol=1e-4)
        host.unfreeze()
    heard = []
    host.freeze({"agent_1": lambda observations, masks: heard.append(observations) or np.zeros((3, 5))})
    host.predict(shown, deterministic=True)
    assert np.array_equal(heard[0], shown["agent_1"])  # a function sees what the actor sees


def settings(**env_kwargs: Any) -> RunSettings:
    parameters = {name: value for name, value in SMALL.items() if name not in ("seed", "device")}
    kwargs = {"continuous_actions": True, **env_kwargs}
    return RunSettings("HASAC", SPREAD, kwargs, 2, 0, 60, parameters, eval_every=30, eval_episodes=3)


def test_a_runs_evaluations_see_what_training_sees(tmp_path: Path) -> None:
    run = settings(normalize=True, frame_stack=2)
    pairs = []

    def again(found: Any) -> bool:
        other = make_vec(SPREAD, continuous_actions=True, frame_stack=2)
        other.seed(7)
        pairs.append((found.mean_return, np.mean(play(model, other, 3))))
        return False

    with environments(run, arena_seed=1) as (env, arena):
        assert unwrap_vec_normalize(arena) is None
        model = new_model(run, env, device="cpu")
        learn(model, run, 60, Logger(None, []), [Evaluations(arena, None, 30, 3, seed=7, is_enough=again)])
    assert len(pairs) == 2
    for found, expected in pairs:
        assert found == pytest.approx(expected) and found < -20  # as the game pays, not as training is paid


class Spied:
    """A model, and what its ``predict`` was shown."""

    def __init__(self, model: Any) -> None:
        self._model, self.seen = model, []

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(observation)
        return self._model.predict(observation, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_policies_are_drawn_as_they_were_trained_to_see(tmp_path: Path) -> None:
    model = HASAC(env=make_vec(SPREAD, 2, seed=0, normalize={"clip_obs": 0.5}), **SMALL).learn(60)
    draw_policies({"HASAC": model}, SPREAD, tmp_path / "p.png", seed=4)
    first: Any = make_vec(SPREAD, seed=4).reset()
    expected = choice_probabilities(model, model.normalize_obs(first))["agent_2"]
    table = csv.DictReader((tmp_path / "p.csv").read_text().splitlines())
    rows = [row for row in table if row["row"] == "agent_2"]
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected.tolist(), abs=1e-6)
    assert expected != pytest.approx(choice_probabilities(model, first)["agent_2"], abs=1e-6)


def test_other_games_are_seen_as_in_training(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "model")
    alone = HASAC.load(tmp_path / "model")

    def place() -> Any:
        return masoft.make(SPREAD, continuous_actions=True, render_mode="rgb_array")

    table = cross_play({"one": alone, "other": model}, place, n_eval_episodes=2, seed=3)
    arena = make_vec(place, seed=3)
    own = np.mean(play(model, arena, 2))
    assert table.values == pytest.approx(np.full((2, 2), own))
    contributions(spied := Spied(alone), place, n_eval_episodes=2, seed=3)
    first: Any = make_vec(place, seed=3).reset()
    assert np.array_equal(spied.seen[0]["agent_1"], alone.normalize_obs(first)["agent_1"])
    total = record_episode(
        alone, SPREAD, tmp_path / "e.gif", env_kwargs={"continuous_actions": True, "normalize": True}
    )
    fresh = make_vec(SPREAD, continuous_actions=True)
    fresh.seed(0)
    assert total == pytest.approx(play(alone, fresh, 1)[0], rel=1e-5)


def test_one_environment_stacks_frames_as_copies_do() -> None:
    one = make_alone(SPREAD, frame_stack={"n_stack": 3}, normalize=True, team_reward="mean", continuous_actions=True)
    copies = make_vec(SPREAD, frame_stack=3, team_reward="mean", continuous_actions=True)
    copies.seed(4)
    seen, many = one.reset(seed=4)[0], copies.reset()
    assert one.observation_space == copies.observation_space
    for _ in range(5):
        assert set(seen) == set(many) and all(np.array_equal(seen[name], many[name][0]) for name in seen)
        action = np.full(one.action_space.shape, 0.7, np.float32)
        seen, reward, *_ = one.step(action)
        many, rewards, *_ = copies.step(action[None])
        assert reward == pytest.approx(rewards[0])


def test_one_environment_takes_nothing_that_only_batches_have() -> None:
    register("mine/alone", lambda length=10: Toy(length=length))
    one = make_alone("mine/alone", tensors=True, device="cpu", seeding="together", normalize=True, length=3)
    one.reset()
    assert [one.step(np.zeros(one.action_space.shape))[3] for _ in range(3)][-1]  # the environment's own goes through


def test_toy_pictures_are_no_part_of_it() -> None:
    env = make_vec(Toy, 1, normalize={"norm_obs": False})
    model = HASAC(env=env, **SMALL)
    known = model.normalization
    assert known is not None and set(known.moments) == {RETURNS} and known.scale_of("a") is None
