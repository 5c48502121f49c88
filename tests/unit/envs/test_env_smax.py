"""SMAX: battles one at a time and in batches. Compiling a map takes seconds, so all but the ids is marked slow."""

import warnings

import numpy as np
import pytest
import torch

import masoft
from masoft.envs import BatchedVecEnv, TeamEnv, make, make_vec, registered, team_of
from masoft.envs.adapters.smax_battle import MAPS
from masoft.errors import ConfigurationError, EnvironmentFault, MissingDependencyError
from masoft.testing import host_reads

SKIP = 'needs the extra: pip install "masoft[smax]"'
# Agents, entries an agent sees, entries of the state, choices an agent.
SHAPES = {
    "3m": (3, 75, 72, 8), "2s3z": (5, 127, 120, 10), "25m": (25, 647, 600, 30), "3s5z": (8, 205, 192, 13),
    "8m": (8, 205, 192, 13), "5m_vs_6m": (5, 140, 132, 11), "10m_vs_11m": (10, 270, 252, 16),
    "27m_vs_30m": (27, 738, 684, 35), "3s5z_vs_3s6z": (8, 218, 204, 14), "3s_vs_5z": (3, 101, 96, 10),
    "6h_vs_8z": (6, 179, 168, 13), "smacv2_5_units": (5, 127, 120, 10), "smacv2_10_units": (10, 257, 240, 15),
    "smacv2_20_units": (20, 517, 480, 25), "8m_vs_9m": (8, 218, 204, 14), "corridor_open": (6, 387, 360, 29),
}  # fmt: skip


def legal(seen, team, generator):
    """Uniform legal choices, (n, agents)."""
    masks = seen["action_mask"].reshape(-1, team.n_agents, team.agents[0].action.mask_size)
    return np.argmax(generator.random(masks.shape) * masks, -1)


def test_every_map_has_an_id_and_a_missing_package_its_command(monkeypatch):
    entries = {entry.id: entry for entry in registered() if entry.extra == "smax"}
    assert set(entries) == {f"smax/{name}" for name in MAPS} == {f"smax/{name}" for name in SHAPES}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'jaxmarl.*pip install "masoft\[smax\]"'):
        make("smax/3m")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_a_hundred_legal_steps(name):
    pytest.importorskip("jaxmarl", reason=SKIP)
    batch = make_vec(f"smax/{name}", 2, seed=0)
    team, generator = team_of(batch), np.random.default_rng(0)
    first = team.agents[0]
    assert (team.n_agents, *first.observation_shape, team.state_size, first.action.mask_size) == SHAPES[name]
    seen = batch.reset()
    ended = 0
    for _ in range(100):
        seen, rewards, dones, infos = batch.step(legal(seen, team, generator))
        ended += dones.sum()
        for key, space in team.observation_space.spaces.items():
            assert all(space.contains(row) for row in seen[key]), key
        assert (rewards >= 0).all() and (rewards <= 2.01).all()
        assert all("is_success" in info for info, done in zip(infos, dones, strict=True) if done)
    assert ended > 0


@pytest.mark.slow
def test_a_batch_is_the_single_battles_of_its_seeds():
    pytest.importorskip("jaxmarl", reason=SKIP)
    n, generator = 6, np.random.default_rng(0)
    batch, singles = make_vec("smax/3m", n, seed=7), [TeamEnv(make("smax/3m")) for _ in range(n)]
    team = team_of(batch)
    assert team == singles[0].team and team.has_masks and team.has_deaths
    seen = batch.reset()
    for env, single in enumerate(singles):
        agree(single.reset(seed=7 + env)[0], {name: values[env] for name, values in seen.items()})
    dead = ended = 0
    for _ in range(60):
        actions = legal(seen, team, generator)
        seen, rewards, dones, infos = batch.step(actions)
        for env, single in enumerate(singles):
            last, reward, terminated, truncated, info = single.step(actions[env])
            assert reward == pytest.approx(rewards[env], abs=1e-5) and info["rewards"] == pytest.approx(
                infos[env]["rewards"]
            )
            assert (terminated or truncated) == dones[env]
            if dones[env]:
                ended += 1
                assert infos[env]["TimeLimit.truncated"] == truncated
                assert infos[env]["is_success"] == info["is_success"]
                agree(last, infos[env]["terminal_observation"])
                last, _ = single.reset()
            elif not last["active"].all():
                dead += 1
                index = int(np.flatnonzero(last["active"] == 0)[0])
                assert not last[team.names[index]].any() and last["action_mask"][team.mask_slices[index]].all()
            agree(last, {name: values[env] for name, values in seen.items()})
    assert dead > 10 and ended > 6


def agree(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=2e-4, err_msg=name)
        assert one[name].dtype == other[name].dtype, name


@pytest.mark.slow
def test_defeat_victory_and_time_are_told_apart():
    pytest.importorskip("jaxmarl", reason=SKIP)
    ends = {}
    for wanted, options in {"lost": {}, "won": {"enemy_shoots": False}, "cut": {"max_steps": 3}}.items():
        env = TeamEnv(make("smax/3m", **options))
        seen, _ = env.reset(seed=0)
        for step in range(1, 102):  # noqa: B007
            masks = seen["action_mask"].reshape(3, 8)
            if wanted == "won":  # shoot who is in reach, else walk towards where the enemies come from
                actions = [5 + int(np.argmax(mask[5:])) if mask[5:].any() else 1 for mask in masks]
            else:
                actions = [4, 4, 4]
            seen, reward, terminated, truncated, info = env.step(np.where(seen["active"], actions, 4))
            if terminated or truncated:
                ends[wanted] = (terminated, truncated, info["is_success"], bool(seen["active"].any()))
                break
        if wanted == "cut":
            assert step == 4
        if wanted == "won":
            assert reward >= 1
        with pytest.raises(EnvironmentFault, match="Call reset first"):
            env.step([4, 4, 4])
    assert ends == {
        "lost": (True, False, False, False),
        "won": (True, False, True, False),
        "cut": (False, True, False, True),
    }


@pytest.mark.slow
def test_conformance_snapshots_and_training():
    pytest.importorskip("jaxmarl", reason=SKIP)
    with warnings.catch_warnings():  # it imports games of its own by a way that it calls deprecated
        warnings.simplefilter("ignore")
        from pettingzoo.test import parallel_api_test, parallel_seed_test
    from masoft import HASAC
    from masoft.envs.vector_snapshot import restore_vector, vector_values
    from masoft.testing import check_env

    check_env("smax/3m", n_steps=60)
    parallel_api_test(make("smax/3m"), num_cycles=40)
    parallel_seed_test(lambda: make("smax/3m"), num_cycles=10)

    batch, other = make_vec("smax/3m", 6, seed=0), make_vec("smax/3m", 6, seed=1)
    team, seen = team_of(batch), batch.reset()
    for step in range(8):
        seen = batch.step(legal(seen, team, np.random.default_rng(step)))[0]
    assert restore_vector(other, vector_values(batch))
    for step in range(30):
        actions = legal(seen, team, np.random.default_rng(step))
        (seen, rewards, dones, _), (same, same_rewards, same_dones, _) = batch.step(actions), other.step(actions)
        agree(seen, same)
        assert np.array_equal(rewards, same_rewards) and np.array_equal(dones, same_dones)
    forbidden = legal(seen, team, np.random.default_rng(0))
    env, entry = next((e, i) for e in range(6) for i in range(3) if not seen["action_mask"][e].reshape(3, 8)[i].all())
    forbidden[env, entry] = np.flatnonzero(seen["action_mask"][env].reshape(3, 8)[entry] == 0)[0]
    with pytest.raises(EnvironmentFault, match=f"agent 'ally_{entry}' in environment {env}, .*legal choices"):
        batch.step(forbidden)
    model = HASAC(make_vec("smax/3m", 6, seed=0), learning_starts=60, batch_size=16, seed=0).learn(120)
    assert model.replay_buffer.size() == 120 and len(model.ep_success_buffer) > 0


def test_bad_input():
    pytest.importorskip("jaxmarl", reason=SKIP)
    with pytest.raises(ConfigurationError, match="map_name must be a known map. Got '3n'.*3m"):
        make("smax/3m", map_name="3n")
    with pytest.raises(ConfigurationError, match="The options of smax/3m must be those of jaxmarl's"):
        make("smax/3m", max_step=3)


def learned_battles(tensors, name, **settings):
    env = make_vec("smax/3m", 8, seed=4, tensors=tensors, max_steps=12)
    return getattr(masoft, name)(env=env, seed=2, device="cpu", **settings)


@pytest.mark.parametrize("name", ["HASAC", "MAPPO"])
def test_battles_as_tensors_teach_what_battles_as_arrays_teach(name, tmp_path):
    pytest.importorskip("jaxmarl", reason=SKIP)
    settings = {
        "HASAC": dict(learning_starts=80, batch_size=16, buffer_size=400, gradient_steps=1),
        "MAPPO": dict(policy="RnnPolicy", n_steps=16, batch_size=32, n_epochs=2),
    }[name]
    arrays, tensors = (learned_battles(given, name, **settings).learn(8 * 32) for given in (False, True))
    for one, other in zip(arrays.policy.parameters(), tensors.policy.parameters(), strict=True):
        assert torch.equal(one, other)
    assert list(arrays.ep_success_buffer) == list(tensors.ep_success_buffer) and len(tensors.ep_success_buffer) > 8
    # The battles themselves are in a checkpoint, so that the second half is the same.
    tensors.save_checkpoint(tmp_path / "half")
    tensors.learn(8 * 16, reset_num_timesteps=False)
    env = make_vec("smax/3m", 8, seed=9, tensors=True, max_steps=12)
    again = type(tensors).resume(tmp_path / "half", env=env).learn(8 * 16, reset_num_timesteps=False)
    for one, other in zip(again.policy.parameters(), tensors.policy.parameters(), strict=True):
        assert torch.equal(one, other)


def test_battles_as_tensors_are_not_looked_at():
    pytest.importorskip("jaxmarl", reason=SKIP)
    env = make_vec("smax/3m", 8, seed=4, tensors=True, max_steps=12)
    env.reset()
    actions = torch.full((8, 3), 4)
    with host_reads() as reads:
        for _ in range(30):
            _, rewards, dones, infos = env.step(actions)
    assert reads == [] and isinstance(rewards, torch.Tensor)
    assert len(infos) == 8 and "rewards" in infos[0]


@pytest.mark.slow
def test_critics_can_see_what_all_see():
    pytest.importorskip("jaxmarl", reason=SKIP)
    batch, one = make_vec("smax/3m", 2, state="both", tensors=True), TeamEnv(make("smax/3m", state="both"))
    team = team_of(batch)
    assert isinstance(batch.unwrapped, BatchedVecEnv) and team == one.team
    assert team.critic_state_size == team.state_size + sum(agent.observation_shape[0] for agent in team.agents)
    model = masoft.MAPPO(batch, n_steps=4, batch_size=8, policy_kwargs=dict(net_arch=[8]), device="cpu")
    assert model.learn(16).num_timesteps == 16
