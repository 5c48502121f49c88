"""SMAC and SMACv2 over classes that keep the packages' protocol: masks, deaths, endings, states, seeds, faults."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import starcraft_protocol as protocol

from masoft.envs import TeamEnv, find, make, registered
from masoft.envs.adapters import smac
from masoft.envs.adapters.smac_game import explain_missing_game, import_class
from masoft.envs.adapters.smac_team import StarCraftTeam
from masoft.errors import ConfigurationError, EnvironmentFault, MissingDependencyError
from masoft.testing import check_env

STOP, ATTACK = 1, protocol.N_NO_ATTACK


def battle(state_type="EP", **options):
    """A small battle, and the games that were built for it."""
    games = []

    def build(seed):
        games.append(protocol.StarCraft2Env(seed=seed, continuing_episode=True, **options))
        return games[-1]

    return StarCraftTeam(build, name="smac/test", state_type=state_type), games


@pytest.fixture
def importing(monkeypatch, tmp_path):
    """A folder whose packages win, and which leaves nothing imported behind."""
    known = {name: sys.modules.pop(name) for name in _imported()}
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in _imported():
        del sys.modules[name]
    sys.modules.update(known)


def _imported():
    return [name for name in sys.modules if name.split(".")[0] in ("smac", "smacv2")]


@pytest.fixture
def packages(importing):
    """The two packages as they would be installed, made of the classes here."""
    for path, name in (("smac/env", "StarCraft2Env"), ("smacv2/env/starcraft2", "StarCraftCapabilityEnvWrapper")):
        folder = importing / path
        folder.mkdir(parents=True)
        where = folder / ("wrapper.py" if "v2" in path else "__init__.py")
        where.write_text(f"from starcraft_protocol import {name}\n")


def play(env, choose, seed=None):
    """One episode of the team; the last answer of ``step`` and the number of steps."""
    observation, _ = env.reset(seed=seed)
    for steps in range(1, 100):
        mask = observation["action_mask"].reshape(env.team.n_agents, -1)
        answer = env.step(np.array([choose(row) for row in mask]))
        observation = answer[0]
        if answer[2] or answer[3]:
            return answer, steps
    raise AssertionError("no end")


def first_attack(mask):
    legal = np.flatnonzero(mask)
    return legal[legal >= ATTACK][0] if mask[0] == 0 and (legal >= ATTACK).any() else legal[-1]


@pytest.mark.parametrize("state_type", ["EP", "FP"])
@pytest.mark.parametrize("options", [{}, {"obs_last_action": True}, {"enemies_shoot": False}])
def test_it_keeps_every_promise_of_an_environment(state_type, options):
    check_env(battle(state_type, **options)[0], n_steps=60)


def test_a_victory_is_a_termination_and_a_success():
    env = TeamEnv(battle(health=9)[0])
    (_, reward, terminated, truncated, info), _ = play(env, first_attack, seed=0)
    assert terminated and not truncated and info["is_success"] is True
    assert reward == pytest.approx((200 + 1) / 20, abs=0.2)


def test_a_defeat_is_a_termination_and_no_success():
    env = TeamEnv(battle(health=1, enemy_health=50)[0])
    (_, _, terminated, truncated, info), _ = play(env, lambda mask: STOP, seed=0)
    assert terminated and not truncated and info["is_success"] is False


def test_running_out_of_time_is_a_truncation_of_those_who_live():
    team, _ = battle(health=2, enemy_health=50, episode_limit=3)
    env = TeamEnv(team)
    (observation, _, terminated, truncated, info), steps = play(env, lambda mask: STOP, seed=0)
    assert (terminated, truncated, steps, info["is_success"]) == (False, True, 3, False)
    assert not observation["active"].all() and observation["active"].any()
    dead = [name for name, active in zip(env.team.names, observation["active"], strict=True) if not active]
    assert all(not observation[name].any() for name in dead)


def test_the_dead_leave_and_their_orders_become_the_no_op():
    team, games = battle(health=1, enemy_health=50, episode_limit=50)
    team.reset(seed=0)
    steps, rewards = 0, []
    while team.agents:
        acted = list(team.agents)
        _, reward, terminations, truncations, infos = team.step(dict.fromkeys(acted, STOP))
        steps, rewards = steps + 1, [*rewards, reward]
        left = [agent for agent in acted if terminations[agent]]
        assert all(games[-1].health[int(agent[-1])] <= 0 for agent in left) and not any(truncations.values())
        assert set(reward) == set(terminations) == set(infos) == set(acted)
    assert steps > 1 and len(set(map(len, rewards))) > 1  # somebody died before the end, and nothing was asserted


def test_masks_are_the_packages_own():
    team, games = battle()
    _, infos = team.reset(seed=0)
    assert [info["action_mask"].tolist() for info in infos.values()] == games[-1].get_avail_actions()


def test_an_illegal_order_is_refused_before_it_reaches_the_package():
    team, _ = battle()
    team.reset(seed=0)
    with pytest.raises(EnvironmentFault, match=r"agent_1.*smac/test must be one of the legal choices \[1, 2.*Got 0"):
        team.step({"agent_0": STOP, "agent_1": 0, "agent_2": STOP})
    with pytest.raises(EnvironmentFault, match="Got 99"):
        team.step({"agent_0": 99, "agent_1": STOP, "agent_2": STOP})
    team.step(dict.fromkeys(team.agents, np.int64(STOP)))  # the episode goes on


def test_states():
    plain, full = battle("EP")[0], battle("FP")[0]
    plain.reset(seed=3)
    full.reset(seed=3)
    assert plain.state().shape == plain.state_space.shape == (5,)
    assert full.state().shape == full.state_space.shape == (5 + 3 * 8,)
    assert np.array_equal(full.state()[:5], plain.state())
    own = full.agent_state("agent_1")
    assert np.array_equal(own, [*plain.state(), *full.state()[13:21], 0, 1, 0])
    team = TeamEnv(full).team
    assert [agent.view.indices[0] for agent in team.agents] == [5, 13, 21] and TeamEnv(plain).team.state_size == 5
    with pytest.raises(ConfigurationError, match="state_type must be one of"):
        battle("XP")


def test_the_seed_starts_the_game_anew_and_later_episodes_do_not():
    team, games = battle()
    team.reset(seed=1)
    first = team.state()
    team.reset()
    second = team.state()
    assert [game.launches for game in games] == [0, 1]  # the first was only asked for its sizes
    team.reset(seed=1)
    assert games[1].is_closed and np.array_equal(team.state(), first)
    team.reset()
    assert np.array_equal(team.state(), second)
    team.close()
    assert games[2].is_closed


def test_a_broken_connection_truncates_with_a_warning():
    team, games = battle(health=9)
    env = TeamEnv(team)
    before, _ = env.reset(seed=0)
    games[-1].breaks_at = (0,)
    with pytest.warns(RuntimeWarning, match="smac/test: the connection to StarCraft II broke"):
        observation, reward, terminated, truncated, info = env.step([STOP] * 3)
    assert (reward, terminated, truncated) == (0.0, False, True) and "is_success" not in info
    assert all(np.array_equal(before[key], observation[key]) for key in before)
    games[-1].breaks_at = ()
    assert play(env, first_attack)[0][2]


def test_a_connection_that_keeps_breaking_is_a_fault():
    env = TeamEnv(battle()[0])
    env.reset(seed=0)
    env.parallel_env._game.breaks_at = (0,)
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="broke"):
            env.step([STOP] * 3)
        env.reset()
    with pytest.raises(EnvironmentFault, match="must be stable. Got 'broken in 3 episodes in a row'"):
        env.step([STOP] * 3)


def test_a_step_after_the_end_is_refused():
    team, _ = battle(health=1, enemy_health=50)
    with pytest.raises(EnvironmentFault, match="smac/test must be running"):
        team.step({})


def test_the_paper_s_maps_and_the_second_version_s_tasks_have_ids():
    ids = {entry.id for entry in registered()}
    maps = ["8m_vs_9m", "5m_vs_6m", "3s5z", "10m_vs_11m", "MMM2", "3s5z_vs_3s6z", "corridor", "6h_vs_8z"]
    assert {f"smac/{name}" for name in maps} <= ids
    sizes = ("5_vs_5", "10_vs_10", "10_vs_11", "20_vs_20", "20_vs_23")
    assert {f"smacv2/{race}_{size}" for race in smac.RACES for size in sizes} <= ids


def test_ids_reach_the_packages_classes(packages):
    env = make("smac/3s5z", difficulty="3")
    assert (env._game.map_name, env._game.difficulty, env._game.continuing_episode) == ("3s5z", "3", True)
    second = make("smacv2/zerg_10_vs_11", min_attack_range=4)
    assert second._game.env.map_name == "10gen_zerg" and second._game.settings["min_attack_range"] == 4
    config = second._game.distribution_config
    assert (config["n_units"], config["n_enemies"]) == (10, 11)
    assert config["team_gen"]["weights"] == [0.45, 0.1, 0.45] and config["start_positions"]["p"] == 0.5
    assert "env_key" not in smac.capability_config("zerg", 10, 11)["team_gen"]  # the package's scribbles stay its own
    check_env("smacv2/terran_5_vs_5", n_steps=30)


def test_the_second_version_s_draws_follow_the_seed_and_leave_global_randomness_alone(packages):
    env = make("smacv2/protoss_5_vs_5")
    before = random.getstate()
    runs = []
    for _ in range(2):
        env.reset(seed=5)
        first = env._game.drawn
        env.reset()
        runs.append(repr([first, env._game.drawn]))
    assert runs[0] == runs[1] and random.getstate() == before
    env.reset(seed=6)
    assert repr(env._game.drawn) != repr(first)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: smac.make_smacv2("orc", 5, 5), "race must be a known one. Got 'orc'"),
        (lambda: smac.make_smacv2("zerg", 0, 5), "n_units must be an integer >= 1. Got 0"),
        (lambda: smac.make_smac("3m", seed=4), r"seed must be given to reset.*env.reset\(seed=...\)"),
        (lambda: smac.make_smac("3m", continuing_episode=False), "continuing_episode must be True"),
    ],
)
def test_arguments_that_are_refused(packages, build, message):
    with pytest.raises(ConfigurationError, match=message):
        build()


@pytest.mark.skipif(find("smac/3m").is_installed, reason="oxwhirl's smac is installed here")
def test_without_the_package_its_command_is_named(importing):
    with pytest.raises(MissingDependencyError, match=r"smac.env. Run: pip install git\+https://github.com/oxwhirl"):
        make("smac/3m")
    with pytest.raises(MissingDependencyError, match="'smac' must be oxwhirl's.*Got 'nothing'.*oxwhirl/smac.git"):
        smac.make_smac("3m")


def test_the_optimiser_of_the_same_name_is_told_apart(importing):
    (importing / "smac").mkdir()
    (importing / "smac" / "__init__.py").write_text("class Scenario: ...\n")
    with pytest.raises(MissingDependencyError, match="another package is installed under the name 'smac'.*oxwhirl"):
        make("smac/3m")
    with pytest.raises(MissingDependencyError, match="Got 'another package of that name.*oxwhirl/smac.git"):
        smac.make_smac("3m")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("raise TypeError('Descriptors cannot be created directly.')", MissingDependencyError, "protobuf<3.21"),
        ("import no_such_pysc2", MissingDependencyError, "What 'smac' imports must be installed.*no_such_pysc2"),
        ("raise TypeError('something else')", TypeError, "something else"),
        ("", MissingDependencyError, "another package of that name"),
    ],
)
def test_packages_that_cannot_be_imported(importing, text, kind, message):
    (importing / "smac" / "env").mkdir(parents=True)
    (importing / "smac" / "env" / "__init__.py").write_text(text)
    with pytest.raises(kind, match=message):
        import_class("smac.env", "StarCraft2Env", "the command")


def test_a_missing_game_says_what_its_folder_must_hold(monkeypatch, tmp_path):
    class Absent(protocol.StarCraft2Env):
        def reset(self):
            raise FileNotFoundError(f"{tmp_path}/Versions")

    team = StarCraftTeam(lambda seed: Absent(seed=seed))
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"without Versions/Base\*.*and Maps/SMAC_Maps.*set SC2PATH"):
        TeamEnv(team).reset()
    (tmp_path / "Versions" / "Base75689").mkdir(parents=True)
    (tmp_path / "Maps" / "SMAC_Maps").mkdir(parents=True)
    assert "without Maps/SMAC_Maps" in explain_missing_game(tmp_path)
    (tmp_path / "Maps" / "SMAC_Maps" / "3m.SC2Map").touch()
    assert explain_missing_game(tmp_path) == ""
    with pytest.raises(FileNotFoundError):  # the game is there: what the package says is all that is known
        team.reset()
