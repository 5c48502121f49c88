"""VMAS: single worlds and batches, on their own randomness."""

import sys
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("vmas", reason='needs the extra: pip install "masoft[vmas]"')

from stable_baselines3.common.vec_env import VecMonitor

import masoft
from masoft import HASAC
from masoft.envs import TeamEnv, make, make_vec, team_of
from masoft.envs.adapters.vmas import SCENARIOS, VmasVecEnv
from masoft.envs.adapters.vmas_slots import _tensors
from masoft.envs.registry import registered
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.testing import check_env, host_reads

# Agents, entries an agent sees, entries it acts with; at the scenario's defaults.
SHAPES = {
    "balance": (3, 16, 2), "ball_passage": (2, 10, 2), "ball_trajectory": (2, 8, 2), "buzz_wire": (2, 6, 2),
    "discovery": (5, 19, 2), "dispersion": (4, 16, 2), "dropout": (4, 7, 2), "flocking": (4, 18, 2),
    "football": (3, 56, 2), "give_way": (2, 4, 2), "joint_passage": (2, 10, 2), "joint_passage_size": (2, 12, 2),
    "multi_give_way": (4, 7, 2), "navigation": (4, 18, 2), "passage": (5, 8, 2), "reverse_transport": (4, 10, 2),
    "road_traffic": (20, 32, 2), "sampling": (3, 24, 2), "transport": (4, 11, 2), "wheel": (4, 13, 2),
    "wind_flocking": (2, 4, 2), "simple_spread": (3, 14, 2), "simple_reference": (2, 21, 12),
    "simple_speaker_listener": (2, 3, 5),
}  # fmt: skip
QUICK = ("balance", "simple_speaker_listener")


def some(slow, quick=QUICK):
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in slow]


def uniform(team, n, generator):
    space = team.action_space
    return generator.uniform(space.low, space.high, (n, team.action_size)).astype(np.float32)


def test_every_listed_scenario_has_an_id():
    assert {entry.id for entry in registered() if entry.extra == "vmas"} == {f"vmas/{name}" for name in SCENARIOS}
    assert set(SHAPES) == set(SCENARIOS)


@pytest.mark.parametrize("scenario", some(SHAPES))
def test_shapes_and_a_hundred_legal_steps(scenario):
    env = TeamEnv(make(f"vmas/{scenario}"))
    first = env.team.agents[0]
    assert (env.team.n_agents, *first.observation_shape, first.action.size) == SHAPES[scenario]
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(100):
        observation, reward, terminated, truncated, info = env.step(uniform(env.team, 1, generator)[0])
        assert np.isfinite(reward) and reward == pytest.approx(np.mean(list(info["rewards"].values())), abs=1e-5)
        if terminated or truncated:
            env.reset()
    check_env(env, n_steps=40)


@pytest.mark.parametrize("scenario", some(SHAPES, quick=("wheel",)))
def test_every_scenario_steps_as_a_batch(scenario):
    batch = make_vec(f"vmas/{scenario}", 3, seed=0, max_steps=4)
    team, generator = team_of(batch), np.random.default_rng(0)
    batch.reset()
    for step in range(1, 6):
        seen, rewards, dones, infos = batch.step(uniform(team, 3, generator))
        assert rewards.shape == dones.shape == (3,) and dones.all() == (step == 4)
        assert all(team.observation_space[name].contains(seen[name][1]) for name in team.names)
        assert all(len(info["rewards"]) == team.n_agents for info in infos)


def test_pettingzoos_own_tests():
    with warnings.catch_warnings():  # they import games of their own by a way that they call deprecated
        warnings.simplefilter("ignore")
        from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(make("vmas/balance"), num_cycles=40)
    parallel_seed_test(lambda: make("vmas/navigation"), num_cycles=10)


def test_actions_have_their_own_ranges():
    assert make("vmas/give_way").action_space("agent_0").high.tolist() == [0.5, 0.5]
    speaker = make("vmas/simple_speaker_listener")
    assert speaker.action_space("speaker_0").low.tolist() == [-1, -1, 0, 0, 0]
    assert speaker.action_space("listener_0").shape == (2,)
    choices = make("vmas/balance", continuous_actions=False)
    assert choices.action_space("agent_0").n == 9
    many = make("vmas/balance", continuous_actions=False, multidiscrete_actions=True, n_agents=2)
    assert many.possible_agents == ["agent_0", "agent_1"] and many.action_space("agent_1").nvec.tolist() == [3, 3]
    check_env(many, n_steps=20)
    discrete = make_vec("vmas/balance", 2, seed=0, continuous_actions=False)
    discrete.reset()
    discrete.step(np.array([[0, 8, 4], [1, 2, 3]]))
    with pytest.raises(EnvironmentFault, match="agent 'agent_1' in environment 1"):
        discrete.step(np.array([[0, 8, 4], [1, 9, 3]]))


def test_truncation_and_termination_are_told_apart():
    env = TeamEnv(make("vmas/navigation", max_steps=7))
    env.reset(seed=0)
    ends = [env.step(np.zeros(env.team.action_size))[2:4] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]
    with pytest.raises(EnvironmentFault, match="Call reset first"):
        env.step(np.zeros(env.team.action_size))
    assert (True, False) in [run_away(seed) for seed in range(4)]


def run_away(seed):
    """How an episode of balance ends whose robots leave what they carry: it falls."""
    env = TeamEnv(make("vmas/balance"))
    env.reset(seed=seed)
    for _ in range(100):
        *_, terminated, truncated, _ = env.step(np.tile([1, 0], 3))
        if terminated or truncated:
            return terminated, truncated
    raise AssertionError("an episode has at most 100 steps")


def test_a_batch_is_the_single_worlds_of_its_seeds():
    n, generator = 3, np.random.default_rng(0)
    batch = make_vec("vmas/navigation", n, seed=11, max_steps=15)
    singles = [TeamEnv(make("vmas/navigation", max_steps=15)) for _ in range(n)]
    seen = batch.reset()
    for env, single in enumerate(singles):
        agree(single.reset(seed=11 + env)[0], seen, env)
    for step in range(1, 36):
        actions = uniform(team_of(batch), n, generator)
        seen, rewards, dones, infos = batch.step(actions)
        for env, single in enumerate(singles):
            last, reward, terminated, truncated, info = single.step(actions[env])
            assert reward == pytest.approx(rewards[env], abs=1e-3) and (terminated or truncated) == dones[env]
            assert info["rewards"] == pytest.approx(infos[env]["rewards"], abs=1e-3)
            if dones[env]:
                assert infos[env]["TimeLimit.truncated"] == truncated == (step % 15 == 0)
                assert infos[env]["episode"]["l"] == 15
                for name, values in last.items():
                    np.testing.assert_allclose(infos[env]["terminal_observation"][name], values, atol=1e-3)
                last, _ = single.reset()
            agree(last, seen, env)


def agree(one, batch, env):
    for name, values in one.items():
        np.testing.assert_allclose(batch[name][env], values, atol=1e-3, err_msg=f"{name} of world {env}")


def test_a_batch_restarts_only_the_worlds_that_ended():
    batch = make_vec("vmas/balance", 8, seed=0)
    batch.reset()
    actions = np.tile([1, 0], (8, 3)).astype(np.float32)  # the robots leave what they carry, and it falls
    for _ in range(99):
        before = batch.venv._elapsed_in.numpy().copy()
        dones = batch.step(actions)[2]
        assert (batch.venv._elapsed_in.numpy() == np.where(dones, 0, before + 1)).all()
        if dones.any():
            assert not dones.all()
            return
    raise AssertionError("no episode ended early")


def test_seeding_is_repeatable_and_of_no_concern_to_others():
    def run(seed, disturb=False):
        batch = make_vec("vmas/transport", 2, seed=seed, max_steps=5)
        other = make_vec("vmas/transport", 1, seed=99)
        seen = [batch.reset()["agent_0"].copy()]
        for _ in range(12):
            if disturb:
                other.reset()
            seen.append(batch.step(np.zeros((2, batch.action_space.shape[0])))[0]["agent_0"].copy())
        return np.array(seen)

    assert np.array_equal(run(3), run(3, disturb=True)) and not np.array_equal(run(3), run(4))
    assert np.array_equal(run(3)[:, 1], run(4)[:, 0])


def test_global_generators_are_left_alone():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    batch = make_vec("vmas/navigation", 2, seed=0, max_steps=2)
    batch.reset()
    for _ in range(3):
        batch.step(np.zeros((2, 8)))
    assert torch.equal(before[0], torch.random.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])


def test_observations_are_windows_into_the_simulators_tensors_or_the_tensors():
    batch = VmasVecEnv("balance", 4, tensors=True)
    seen = batch.reset()
    assert isinstance(seen["agent_0"], torch.Tensor) and isinstance(
        VmasVecEnv("balance", 1).reset()["agent_0"], np.ndarray
    )
    model = HASAC(batch, learning_starts=8, batch_size=8, seed=0).learn(40)
    assert model.replay_buffer.size() == 40 and batch.told[0].keys() == {"pos_rew", "ground_rew"}
    joint, _ = model.predict(batch.reset(), deterministic=True)
    assert joint.shape == (4, 6)


def test_an_estimator_trains_on_the_id():
    model = HASAC("vmas/navigation", learning_starts=20, batch_size=8, seed=0).learn(40)
    assert isinstance(model.get_env(), VecMonitor) and isinstance(model.get_env().venv, VmasVecEnv)


@pytest.mark.parametrize(
    ("scenario", "options", "reason"),
    [
        ("balanse", {}, "scenario must be one of vmas's. Got 'balanse'.*balance"),
        ("balance", {"n_agent": 3}, "The options of vmas/balance must be the scenario's own.*n_agent"),
        ("balance", {"max_steps": 0}, "max_steps must be an integer >= 1"),
        ("balance", {"team_reward": "most"}, "team_reward must be"),
    ],
)
def test_bad_input(scenario, options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        VmasVecEnv(scenario, 2, **options)


def test_a_batch_of_one_stream_is_repeatable_and_starts_all_worlds_in_one_call(monkeypatch):
    asked = []

    def run(seed):
        batch = make_vec("vmas/navigation", 4, seed=seed, max_steps=3, seeding="batch")
        scenario = batch.venv.world.env.scenario
        inner = scenario.env_reset_world_at
        monkeypatch.setattr(scenario, "env_reset_world_at", lambda world: (asked.append(world), inner(world)))
        seen = [batch.reset()["agent_0"].copy()]
        for _ in range(7):
            seen.append(batch.step(np.zeros((4, batch.action_space.shape[0])))[0]["agent_0"].copy())
        return np.array(seen)

    first = run(3)
    assert asked == [None] * 3 and not np.array_equal(first[0, 0], first[0, 1])
    assert np.array_equal(first, run(3)) and not np.array_equal(first, run(4))
    assert not np.array_equal(first[0], first[3])


def test_an_unknown_seeding_is_refused():
    with pytest.raises(ConfigurationError, match="seeding must be one of"):
        make_vec("vmas/navigation", 2, seeding="both")


def stepped(scenario, ended):
    """Numbers of all worlds after three steps and a restart of some, by the order in which they are met."""
    env = VmasVecEnv(scenario, len(ended), tensors=True)
    env.seed(5)
    env.reset()
    generator = np.random.default_rng(0)
    for _ in range(3):
        actions = torch.as_tensor(uniform(env.team, len(ended), generator))
        seen = env.world.step([actions[:, where] for where in env.team.action_slices])[0]
    env.world.restart(torch.as_tensor(ended), seen)
    roots = [env.world.env.scenario, env.world.env.world]
    return [(key, value) for _, values in _tensors(roots, len(ended)) for key, value in values]


@pytest.mark.parametrize("scenario", some(SHAPES, quick=("balance", "navigation", "football")))
def test_worlds_that_begin_together_leave_the_others_alone(scenario):
    some_worlds = [True, False, False, True, False, False, False]
    mixed, fresh, old = (stepped(scenario, each) for each in (some_worlds, [True] * 7, [False] * 7))
    assert len(mixed) == len(fresh) == len(old) > 10
    begun = torch.tensor(some_worlds)
    moved = 0
    for (key, now), (_, new), (_, was) in zip(mixed, fresh, old, strict=True):
        assert now.shape == new.shape == was.shape
        assert torch.equal(now[begun].nan_to_num(), new[begun].nan_to_num()), key
        assert torch.equal(now[~begun].nan_to_num(), was[~begun].nan_to_num()), key
        moved += not torch.equal(new.nan_to_num(), was.nan_to_num())
    assert moved >= 2


OF_VMAS = ("vmas", "vmas_world", "vmas_slots", "adapters/vmas")


@pytest.mark.parametrize("name", ["HASAC", "MAPPO"])
def test_on_a_device_only_vmas_itself_looks_at_numbers(name):
    env = make_vec("vmas/balance", 16, seed=0, tensors=True, max_steps=12)
    settings = {"n_steps": 16, "batch_size": 64} if name == "MAPPO" else {"learning_starts": 64, "gradient_steps": 0}
    model = getattr(masoft, name)(env=env, seed=0, device="cpu", **settings)
    model.learn(16 * 32)
    with host_reads(but=OF_VMAS) as reads:
        _collect_a_step(model)
    assert reads == [] and {episode["l"] for episode in model.ep_info_buffer} >= {12}


def _collect_a_step(model):
    """One vector step, from what the policy sees to what is stored."""
    from stable_baselines3.common.callbacks import CallbackList
    from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

    class Stop(CallbackList):
        def on_step(self):
            return False

    callback = Stop([])
    callback.init_callback(model)
    if isinstance(model, masoft.MAPPO):
        model.rollout_buffer.reset()
        model.collect_rollouts(model.env, callback, model.rollout_buffer, 16)
    else:
        freq = TrainFreq(1, TrainFrequencyUnit.STEP)
        model.collect_rollouts(model.env, callback, freq, model.replay_buffer)


def calls_of(n_worlds):
    """Python's calls of six vector steps of worlds that end and begin anew in the second and the fifth of them."""
    env = make_vec("vmas/navigation", n_worlds, seed=0, tensors=True, max_steps=3)
    env.reset()
    actions = torch.zeros(n_worlds, team_of(env).action_size)
    env.step(actions)
    counted = [0]

    def count(frame, event, argument):
        counted[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        for _ in range(6):
            env.step(actions)
    finally:
        sys.setprofile(None)
    return counted[0]


def test_a_thousand_worlds_ask_no_more_of_python_than_sixteen():
    few, many = calls_of(16), calls_of(1024)
    assert 1000 < many < 1.1 * few  # vmas draws places until none overlap


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_learning_on_a_device_is_learning(name):
    """Three seeds of each way: their means are closer than the seeds are apart, and both have learnt."""
    small = {"policy_kwargs": {"net_arch": [64, 64]}}
    settings = {
        "HASAC": dict(learning_starts=1280, batch_size=512, gradient_steps=1, buffer_size=100_000, **small),
        "HAPPO": dict(n_steps=50, batch_size=1600, n_epochs=5, learning_rate=1e-3),
    }[name]

    def returns(**way):
        found = []
        for seed in range(3):
            env = make_vec("vmas/balance", 64, seed=seed, **way)
            model = getattr(masoft, name)(env=env, seed=seed, device="cpu", stats_window_size=128, **settings)
            model.learn(64 * 100)
            first = np.mean([episode["r"] for episode in model.ep_info_buffer])
            model.learn(64 * 400, reset_num_timesteps=False)
            found.append((first, np.mean([episode["r"] for episode in model.ep_info_buffer])))
        return np.array(found)

    arrays, tensors = returns(seeding="batch"), returns(tensors=True)
    assert (arrays[:, 1] > arrays[:, 0]).all() and (tensors[:, 1] > tensors[:, 0]).all()
    spread = np.ptp(np.concatenate([arrays[:, 1], tensors[:, 1]]))
    assert abs(arrays[:, 1].mean() - tensors[:, 1].mean()) < spread
