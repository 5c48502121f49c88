"""Google Research Football: features and checkpoints on raw observations made by hand, and the team over a script."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from masoft.envs import TeamEnv, registered
from masoft.envs.adapters import football_engine
from masoft.envs.adapters.football import SCENARIOS, FootballTeam, make_football
from masoft.envs.adapters.football_features import CheckpointReward, indices_of, joint_state, shared_features
from masoft.errors import ConfigurationError, EnvironmentFault, MissingDependencyError
from masoft.testing import check_env


def raw(n_left=2, n_right=1, ball=(0.5, 0.1, 0.2), owner=(-1, -1), mode=0, score=(0, 0), steps_left=10, players=(1, 0)):
    """The engine's raw observation of a small game, with numbers that tell where they went."""
    return {
        "left_team": np.arange(2 * n_left).reshape(n_left, 2) / 100,
        "left_team_direction": 0.1 + np.arange(2 * n_left).reshape(n_left, 2) / 100,
        "right_team": 0.2 + np.arange(2 * n_right).reshape(n_right, 2) / 100,
        "right_team_direction": 0.3 + np.arange(2 * n_right).reshape(n_right, 2) / 100,
        "ball": np.array(ball),
        "ball_direction": np.array([0.7, 0.8, 0.9]),
        "ball_owned_team": owner[0],
        "ball_owned_player": owner[1],
        "game_mode": mode,
        "score": list(score),
        "steps_left": steps_left,
        "left_agent_controlled_player": list(players),
    }


class Script:
    """An engine that plays back what it is given; it notes seeds and actions."""

    n_agents, n_actions = 2, 19

    def __init__(self, *steps):
        self.steps, self.seeds, self.played, self.is_closed = steps, [], [], False

    def reset(self, seed):
        self.seeds.append(seed)
        self.at = 0
        return raw()

    def step(self, actions):
        self.played.append(list(actions))
        self.at += 1
        return self.steps[self.at - 1]

    def render(self):
        return np.zeros((4, 5, 3), np.uint8)

    def close(self):
        self.is_closed = True


class Match:
    """A game that the seed decides: the ball wanders, and after some steps a goal, an out, or the clock ends it."""

    n_agents, n_actions = 2, 19

    def reset(self, seed):
        self.rng, self.left = np.random.default_rng(seed), 12
        return self.look(0)

    def look(self, score):
        position, owner = self.rng.uniform(-1, 1, 3), int(self.rng.integers(-1, 2))
        return raw(ball=position, owner=(owner, 1), steps_left=self.left, score=(max(score, 0), max(-score, 0)))

    def step(self, actions):
        self.left -= 1
        score = int(self.rng.choice([0, 0, 0, 0, 1, -1]))
        return self.look(score), score, score != 0 or self.left == 0

    def close(self):
        pass


def test_shared_features_are_in_their_places():
    features = shared_features(raw(owner=(1, 0), mode=3))
    assert features.dtype == np.float32 and features.shape == (104,)
    left, left_direction, right, right_direction = features[:88].reshape(4, 22)
    assert left[:4].tolist() == pytest.approx([0.0, 0.01, 0.02, 0.03]) and (left[4:] == -1).all()
    assert left_direction[:4].tolist() == pytest.approx([0.1, 0.11, 0.12, 0.13]) and (left_direction[4:] == -1).all()
    assert right[:2].tolist() == pytest.approx([0.2, 0.21]) and (right[2:] == -1).all()
    assert right_direction[:2].tolist() == pytest.approx([0.3, 0.31]) and (right_direction[2:] == -1).all()
    assert features[88:94].tolist() == pytest.approx([0.5, 0.1, 0.2, 0.7, 0.8, 0.9])
    assert features[94:97].tolist() == [0, 0, 1] and np.flatnonzero(features[97:]).tolist() == [3]


@pytest.mark.parametrize(("owner", "place"), [(-1, 0), (0, 1), (1, 2)])
def test_who_owns_the_ball(owner, place):
    assert np.flatnonzero(shared_features(raw(owner=(owner, 0)))[94:97]).tolist() == [place]


def test_full_teams_leave_no_padding():
    assert (shared_features(raw(n_left=11, n_right=11))[:88] >= 0).all()


def test_state_and_the_agents_own_parts():
    state = joint_state(raw(mode=2), [4, -1, 0])
    assert state.shape == (115 + 11 * 2,)
    agents = [state[list(indices_of(agent))] for agent in range(3)]
    assert all(len(seen) == 115 for seen in agents)
    assert [np.flatnonzero(seen[97:108]).tolist() for seen in agents] == [[4], [], [0]]
    assert all(np.flatnonzero(seen[108:]).tolist() == [2] for seen in agents)
    assert np.array_equal(agents[0][:97], agents[2][:97]) and np.array_equal(agents[0][:97], state[:97])


@pytest.mark.parametrize(("n_agents", "size"), [(2, 126), (3, 137), (11, 225)])
def test_published_state_sizes(n_agents, size):
    assert joint_state(raw(), range(n_agents)).shape == (size,)


def at(distance, **more):
    """The ball so far from the other goal's centre, at player 1 of the left team."""
    return raw(ball=(1 - distance * math.cos(0.3), distance * math.sin(0.3), 0), owner=(0, 1), **more)


@pytest.mark.parametrize(
    ("distance", "passed"), [(1.5, 0), (0.991, 0), (0.989, 1), (0.91, 1), (0.90, 2), (0.5, 6), (0.191, 9), (0.189, 10)]
)
def test_checkpoints_by_distance(distance, passed):
    """Thresholds 0.99, 0.901, 0.812, ..., 0.19: the numbers passed are counted by hand."""
    assert CheckpointReward(2).collect(at(distance), [1, 0], scored=False) == pytest.approx([passed / 10, 0.0])


def test_each_checkpoint_is_paid_once_and_a_goal_pays_the_rest():
    reward = CheckpointReward(2)
    assert reward.collect(at(0.5), [1, 0], scored=False) == pytest.approx([0.6, 0])
    assert reward.collect(at(0.7), [1, 0], scored=False) == [0, 0]
    assert reward.collect(at(0.45), [0, 1], scored=False) == pytest.approx([0, 0.7])  # now the other one has the ball
    assert reward.collect(at(0.2), [1, 0], scored=True) == pytest.approx([0.4, 0.3])
    assert reward.collect(at(0.1), [1, 0], scored=False) == [0, 0]
    reward.start_episode()
    assert reward.collect(at(0.95), [1, 0], scored=False) == pytest.approx([0.1, 0])


@pytest.mark.parametrize("owner", [(-1, -1), (1, 1), (0, 2)])
def test_nobody_is_paid_for_a_ball_that_is_not_theirs(owner):
    near = {**at(0.2), "ball_owned_team": owner[0], "ball_owned_player": owner[1]}
    assert CheckpointReward(2).collect(near, [1, 0], scored=False) == [0, 0]


def test_it_keeps_every_promise_of_an_environment():
    check_env(FootballTeam(Match()), n_steps=60)
    check_env(FootballTeam(Match(), checkpoints=False), n_steps=30)


def test_a_goal_ends_by_termination_and_pays_everybody():
    team = FootballTeam(Script((at(0.5), 0, False), (at(0.1, score=(1, 0)), 1, True)))
    team.reset(seed=0)
    _, first, *_ = team.step({"agent_0": 0, "agent_1": np.int64(18)})
    _, second, terminations, truncations, infos = team.step({"agent_0": 0, "agent_1": 0})
    assert first == pytest.approx({"agent_0": 0.6, "agent_1": 0.0})
    assert second == pytest.approx({"agent_0": 1.4, "agent_1": 2.0})
    assert all(terminations.values()) and not any(truncations.values()) and team.agents == []
    assert infos["agent_1"] == {"is_success": True, "score": (1, 0)}
    with pytest.raises(EnvironmentFault, match="football must be running"):
        team.step({"agent_0": 0, "agent_1": 0})


def test_the_team_gets_the_mean_and_goals_alone_are_shared():
    steps = [(at(0.5), 0, False), (at(0.1, score=(1, 0)), 1, True)]
    env = TeamEnv(FootballTeam(Script(*steps)))
    env.reset(seed=0)
    assert env.step([0, 0])[1] == pytest.approx(0.3)
    _, reward, _, _, info = env.step([0, 0])
    assert reward == pytest.approx(1.7) and info["is_success"] is True
    plain = TeamEnv(FootballTeam(Script(*steps), checkpoints=False))
    plain.reset()
    assert (plain.team_reward, plain.step([0, 0])[1], plain.step([0, 0])[1]) == ("shared", 0.0, 1.0)


@pytest.mark.parametrize(
    ("last", "flags", "success"),
    [
        ((raw(steps_left=0), 0, True), (False, True), False),  # the clock
        ((raw(steps_left=7, mode=4), 0, True), (True, False), False),  # out of play
        ((raw(steps_left=7, score=(0, 1)), -1, True), (True, False), False),  # a goal against
        ((raw(steps_left=0, score=(1, 0)), 1, True), (True, False), True),  # a goal with the last step
    ],
)
def test_the_clock_truncates_and_the_rules_terminate(last, flags, success):
    env = TeamEnv(FootballTeam(Script(last)))
    env.reset()
    _, _, terminated, truncated, info = env.step([0, 0])
    assert (terminated, truncated) == flags and info["is_success"] is success


def test_the_seed_decides_all_later_episodes():
    runs = []
    for _ in range(2):
        engine = Script()
        team = FootballTeam(engine)
        for seed in (3, None, None):
            team.reset(seed=seed)
        runs.append(engine.seeds)
    assert runs[0] == runs[1] and len(set(runs[0])) == 3


def test_actions_reach_the_engine_as_they_are_and_others_do_not():
    engine = Script((raw(), 0, False))
    env = TeamEnv(FootballTeam(engine, name="football/rps"))
    env.reset()
    env.step([18, 4])
    assert engine.played == [[18, 4]]
    team = FootballTeam(engine, name="football/rps")
    team.reset()
    with pytest.raises(EnvironmentFault, match="'agent_1' in football/rps must be a whole number below 19. Got 19"):
        team.step({"agent_0": 0, "agent_1": 19})


def test_an_engine_that_fails_is_a_fault_that_names_the_step():
    class Broken(Script):
        def step(self, actions):
            raise RuntimeError("physics")

    env = TeamEnv(FootballTeam(Broken(), name="football/rps"))
    env.reset()
    with pytest.raises(EnvironmentFault, match="step at step 1 of episode 1 of football/rps .*physics"):
        env.step([0, 0])


def test_pictures_only_where_asked_for_and_closing():
    engine = Script()
    assert FootballTeam(engine).render() is None
    team = FootballTeam(engine, render_mode="rgb_array")
    assert team.render().shape == (4, 5, 3)
    team.close()
    assert engine.is_closed


def test_every_scenario_has_an_id():
    ids = {entry.id for entry in registered() if entry.id.startswith("football/")}
    assert ids == {f"football/{name}" for name in SCENARIOS}


def test_an_unknown_scenario_needs_a_number_of_agents():
    with pytest.raises(ConfigurationError, match="Got 'rpx'. Did you mean 'rps'"):
        make_football("rpx")


def test_without_the_engine_the_build_command_is_named(monkeypatch):
    for name in ("gfootball", "gfootball.env", "gfootball.env.config"):  # it may be here, and imported
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="football engine must be built.*adapters.football_build"):
        football_engine.FootballEngine("academy_corner", 3)


def test_stand_ins_are_there_for_the_import_only(monkeypatch, tmp_path):
    """gfootball's modules as far as the import goes: they find gym and cv2, and nobody else does afterwards."""
    package = tmp_path / "gfootball"
    (package / "env").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import gym\nfrom gym.envs.registration import register\nregister(id='x')\nbase = gym.Env\n"
    )
    for name in ("config", "football_action_set", "football_env_core", "scenario_builder"):
        (package / "env" / f"{name}.py").write_text("import cv2\n")
    (package / "env" / "__init__.py").write_text("")
    for name in [name for name in sys.modules if name.split(".")[0] in ("gfootball", "gym", "cv2")]:
        monkeypatch.delitem(sys.modules, name)
    real = football_engine._is_importable
    monkeypatch.setattr(football_engine, "_is_importable", lambda name: name not in ("gym", "cv2") and real(name))
    monkeypatch.syspath_prepend(tmp_path)
    try:
        core = football_engine.import_core()
        assert core.config.cv2.__name__ == "cv2" and sys.modules["gfootball"].base.__module__.startswith("gymnasium")
        assert not {"gym", "gym.envs", "cv2"} & set(sys.modules)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "gfootball"]:
            del sys.modules[name]
