"""Level-based foraging and warehouses: the end of the time is a truncation, and rewards are summed."""

from __future__ import annotations

import numpy as np
import pytest

from masoft import MAPPO
from masoft.envs import make, make_vec, registered
from masoft.errors import ConfigurationError

NOTHING = {"agent_0": 0, "agent_1": 0}


@pytest.fixture
def foraging():
    pytest.importorskip("lbforaging")
    env = make("lbf/Foraging-8x8-2p-3f")
    env.reset(seed=0)
    yield env
    env.close()


def test_time_that_is_up_truncates(foraging):
    for step in range(1, 51):
        _, _, terminated, truncated, _ = foraging.step(NOTHING)
        assert set(terminated.values()) == {False}
        assert set(truncated.values()) == {step == 50}
    assert foraging.agents == []


def test_food_that_is_all_eaten_terminates(foraging):
    foraging.env.unwrapped.field[:] = 0
    _, _, terminated, truncated, _ = foraging.step(NOTHING)
    assert set(terminated.values()) == {True} and set(truncated.values()) == {False}


def test_the_last_food_at_the_last_moment_terminates(foraging):
    for _ in range(49):
        foraging.step(NOTHING)
    foraging.env.unwrapped.field[:] = 0
    _, _, terminated, truncated, _ = foraging.step(NOTHING)
    assert set(terminated.values()) == {True} and set(truncated.values()) == {False}


def test_a_warehouse_has_an_end_of_time_only():
    pytest.importorskip("rware")
    env = make("rware/tiny-2ag", max_steps=3)
    env.reset(seed=0)
    answers = [env.step(NOTHING) for _ in range(3)]
    assert [set(terminated.values()) for _, _, terminated, _, _ in answers] == [{False}] * 3
    assert [set(truncated.values()) for _, _, _, truncated, _ in answers] == [{False}, {False}, {True}]
    assert env.observation_space("agent_0").shape == (71,)


def test_the_teams_reward_is_the_sum(foraging):
    venv = make_vec("lbf/Foraging-5x5-2p-1f", n_envs=4, seed=0)
    venv.reset()
    rng = np.random.default_rng(0)
    paid = []
    for _ in range(200):
        _, rewards, _, infos = venv.step(rng.integers(6, size=(4, 2)))
        paid += [(reward, sum(info["rewards"].values())) for reward, info in zip(rewards, infos, strict=True)]
    assert any(total for _, total in paid)
    np.testing.assert_allclose(*np.transpose(paid), rtol=1e-6)


def test_a_seed_repeats_an_episode(foraging):
    first, _ = foraging.reset(seed=3)
    for _ in range(5):
        foraging.step({"agent_0": 1, "agent_1": 2})
    again, _ = foraging.reset(seed=3)
    for agent in first:
        np.testing.assert_array_equal(first[agent], again[agent])


@pytest.mark.parametrize(("package", "id"), [("lbforaging", "lbf/Foraging-5x5-2p-1f"), ("rware", "rware/tiny-2ag")])
def test_it_trains_with_its_preset(package, id):
    pytest.importorskip(package)
    env = make_vec("lbf/Foraging-5x5-2p-1f" if package == "lbforaging" else id, n_envs=2, seed=0)
    model = MAPPO.from_preset("lbf/Foraging-5x5-2p-1f" if package == "lbforaging" else id, env, n_steps=8, batch_size=8)
    assert model.learn(32).num_timesteps == 32


def test_a_task_that_the_package_does_not_have_is_named():
    pytest.importorskip("lbforaging")
    from masoft.envs.adapters.gymnasium_games import make_lbf

    with pytest.raises(ConfigurationError, match=r"lbforaging registers. Got 'Foraging-1x1-9p-3f-v3'"):
        make_lbf("Foraging-1x1-9p-3f")


@pytest.mark.parametrize("id", [entry.id for entry in registered() if entry.id.startswith("lbf/")])
def test_every_field_has_the_food_of_its_name(id):
    pytest.importorskip("lbforaging")
    env = make(id)
    env.reset(seed=0)
    game = env.unwrapped.env.unwrapped
    assert game.max_num_food == int(id.removesuffix("-coop")[:-1].rpartition("-")[2])
    assert (len(env.possible_agents), game.force_coop) == (len(game.players), id.endswith("-coop"))
