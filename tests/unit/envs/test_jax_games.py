"""Overcooked and CAMAR: games one at a time and in batches. Compiling takes seconds, so all but one is marked slow."""

from __future__ import annotations

import numpy as np
import pytest

from masoft import MAPPO
from masoft.envs import find, make, make_vec
from masoft.errors import ConfigurationError, EnvironmentFault

pytest.importorskip("jax")
GAMES = {
    "overcooked/cramped_room": ("jaxmarl", {"max_steps": 6}),
    "camar/random_grid": ("camar", {"max_steps": 5, "n_agents": 2, "map_kwargs": {"num_rows": 6, "num_cols": 6}}),
}


@pytest.fixture(params=GAMES)
def game(request):
    package, options = GAMES[request.param]
    pytest.importorskip(package)
    return request.param, options


def test_an_unknown_layout_is_refused():
    if not find("overcooked/cramped_room").is_installed:  # importing it takes seconds, and is not needed
        pytest.skip("jaxmarl is not installed")
    with pytest.raises(ConfigurationError, match="Did you mean 'cramped_room'"):
        make("overcooked/cramped_room", layout="cramped_rom")


@pytest.mark.slow
def test_a_batch_is_what_its_games_are(game):
    id, options = game
    vec_env = make_vec(id, n_envs=3, seed=5, **options)
    games = [make(id, **options) for _ in range(3)]
    joint = vec_env.reset()
    singles = [one.reset(seed=5 + k)[0] for k, one in enumerate(games)]
    names, ended = games[0].possible_agents, 0
    vec_env.action_space.seed(0)
    for _ in range(14):
        for k, seen in enumerate(singles):
            for name in names:
                np.testing.assert_allclose(joint[name][k], seen[name], rtol=1e-6, atol=1e-6)
        actions = np.stack([vec_env.action_space.sample() for _ in games])
        joint, rewards, dones, infos = vec_env.step(actions)
        for k, one in enumerate(games):
            own = actions[k].reshape(len(names), -1)
            answer = one.step({name: part if part.size > 1 else part[0] for name, part in zip(names, own, strict=True)})
            assert infos[k]["rewards"] == pytest.approx(answer[1])
            assert dones[k] == (not one.agents)
            singles[k] = answer[0]
            if dones[k]:
                ended += 1
                assert infos[k]["TimeLimit.truncated"] == answer[3][names[0]]
                for name in names:
                    np.testing.assert_allclose(infos[k]["terminal_observation"][name], answer[0][name], rtol=1e-6)
                singles[k] = one.reset()[0]
    assert ended >= 6


@pytest.mark.slow
def test_time_that_is_up_truncates_and_then_one_has_to_reset(game):
    id, options = game
    env = make(id, **options)
    env.reset(seed=0)
    steps = 0
    while env.agents:
        *_, terminated, truncated, infos = env.step({a: env.action_space(a).sample() for a in env.agents})
        steps += 1
    assert set(truncated.values()) == {True} and set(terminated.values()) == {False}
    assert steps == options["max_steps"] + id.startswith("camar") and infos["agent_0"] == {"is_success": False}
    with pytest.raises(EnvironmentFault, match="Call reset first"):
        env.step({})


@pytest.mark.slow
def test_a_snapshot_continues_where_it_was_taken(game):
    id, options = game
    vec_env = make_vec(id, n_envs=2, seed=0, **options)
    vec_env.reset()
    actions = np.stack([vec_env.action_space.sample() for _ in range(2)])
    vec_env.step(actions)
    saved = vec_env.unwrapped.get_snapshot()
    first = [vec_env.step(actions)[:2] for _ in range(8)]
    other = make_vec(id, n_envs=2, seed=9, **options)
    other.reset()
    other.unwrapped.set_snapshot(saved)
    again = [other.step(actions)[:2] for _ in range(8)]
    for (seen, rewards), (seen_again, rewards_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(rewards, rewards_again)
        for name, values in seen.items():
            np.testing.assert_array_equal(values, seen_again[name])


@pytest.mark.slow
def test_who_is_on_all_goals_has_won():
    pytest.importorskip("camar")
    env = make("camar/random_grid", **GAMES["camar/random_grid"][1])
    env.reset(seed=0)
    there = env._scene.state
    physical = there.physical_state.replace(agent_pos=there.goal_pos)
    env._scene = env._scene._replace(state=there.replace(physical_state=physical))
    _, rewards, terminated, truncated, infos = env.step(
        {agent: np.zeros(2, np.float32) for agent in env.possible_agents}
    )
    assert set(terminated.values()) == {True} and set(truncated.values()) == {False}
    assert infos["agent_0"]["is_success"] and all(reward >= 1 - 1e-3 for reward in rewards.values())


@pytest.mark.slow
def test_shaping_pays_for_an_onion_in_the_pot():
    """The first cook of the cramped room stands below the pot's left neighbour, an onion pile to its left."""
    pytest.importorskip("jaxmarl")
    up, right, left, stay, interact = 0, 2, 3, 4, 5
    plain, shaped = make("overcooked/cramped_room"), make("overcooked/cramped_room", shaping=2.0)
    assert (plain.metadata["team_reward"], shaped.metadata["team_reward"]) == ("shared", "mean")
    paid = {}
    for name, env in (("plain", plain), ("shaped", shaped)):
        env.reset(seed=0)
        way = (left, interact, right, up, interact)
        paid[name] = [env.step({"agent_0": move, "agent_1": stay})[1] for move in way]
    assert all(rewards == {"agent_0": 0.0, "agent_1": 0.0} for rewards in paid["plain"])
    assert paid["shaped"][-1] == {"agent_0": 6.0, "agent_1": 0.0}


@pytest.mark.slow
def test_it_trains_with_a_preset():
    pytest.importorskip("jaxmarl")
    vec_env = make_vec("overcooked/cramped_room", n_envs=2, seed=0, max_steps=10)
    model = MAPPO.from_preset("overcooked/cramped_room", vec_env, n_steps=8, batch_size=8)
    assert model.learn(32).num_timesteps == 32 and model.score(n_eval_episodes=1) >= 0
