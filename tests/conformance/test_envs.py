"""Every registered environment that is installed here passes PettingZoo's own tests and ours."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv

from masoft.envs import make, registered
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.testing import check_env

with warnings.catch_warnings():  # the package's tests import its own games by a way that it calls deprecated
    warnings.simplefilter("ignore")
    from pettingzoo.test import parallel_api_test, parallel_seed_test

FAMILIES = ("matrix", "mpe", "mamujoco", "dexhands", "lag")
ENTRIES = [entry for entry in registered() if entry.id.split("/")[0] in FAMILIES]


@pytest.fixture(params=ENTRIES, ids=lambda entry: entry.id)
def entry(request):
    if not request.param.is_installed:
        pytest.skip(f"{request.param.id} needs {', '.join(request.param.missing)}: {request.param.install_command}")
    return request.param


@pytest.mark.filterwarnings("ignore:Observation is not NumPy array:UserWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pettingzoo.test.*")
def test_pettingzoo_api(entry):
    parallel_api_test(make(entry.id), num_cycles=60)


def test_pettingzoo_seeding(entry):
    parallel_seed_test(lambda: make(entry.id), num_cycles=10)


def test_check_env(entry):
    check_env(entry.id, n_steps=100)


@pytest.mark.parametrize("options", [{"continuous_actions": True}, {"N": 5, "max_cycles": 4}])
def test_check_env_with_options(options):
    check_env(lambda: make("mpe/simple_spread_v3", **options), n_steps=30)


def test_check_env_in_the_papers_observation_mode():
    pytest.importorskip("gymnasium_robotics", reason='needs the extra: pip install "masoft[mamujoco]"')
    check_env(lambda: make("mamujoco/Walker2d-2x3", observation="paper"), n_steps=60)


class Sound(ParallelEnv):
    """A small environment that keeps all promises, for subclasses to break one each."""

    def __init__(self, **metadata):
        self.metadata = {"name": "sound", "render_modes": [], "has_deaths": False, **metadata}
        self.render_mode = None
        self.possible_agents = ["a", "b"]
        self.agents = []
        self.rng = np.random.default_rng()
        self.low = -1.0

    def observation_space(self, agent):
        return spaces.Box(self.low, 1.0, (2,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(3)

    def observation(self, agent):
        return self.rng.uniform(-1, 1, 2).astype(np.float32)

    def info(self, agent):
        return {"action_mask": np.array([1, 1, self.elapsed % 2], np.int8)}

    def flags(self):
        return False, self.elapsed >= 5

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents, self.elapsed = self.possible_agents[:], 0
        return {a: self.observation(a) for a in self.agents}, {a: self.info(a) for a in self.agents}

    def step(self, actions):
        self.elapsed += 1
        agents, (terminated, truncated) = self.agents, self.flags()
        if terminated or truncated:
            self.agents = []
        return (
            {a: self.observation(a) for a in agents},
            dict.fromkeys(agents, 1.0),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {a: self.info(a) for a in agents},
        )


class OutOfRange(Sound):
    def observation(self, agent):
        return 2 + super().observation(agent)


class Unseeded(Sound):
    def reset(self, seed=None, options=None):
        return super().reset()


class BothFlags(Sound):
    def flags(self):
        return self.elapsed >= 5, self.elapsed >= 5


class KeepsAgents(Sound):
    def step(self, actions):
        answer = super().step(actions)
        self.agents = self.possible_agents[:]
        return answer


class ChangesItsSpaces(Sound):
    def observation_space(self, agent):
        self.low -= 1.0
        return super().observation_space(agent)


class NoChoice(Sound):
    def info(self, agent):
        return {"action_mask": np.zeros(3, np.int8)} if self.elapsed == 3 else super().info(agent)


class Stopped(Sound):
    """Can be stopped, and goes on as it was."""

    def get_snapshot(self):
        return {"elapsed": self.elapsed, "agents": list(self.agents), "rng": self.rng.bit_generator.state}

    def set_snapshot(self, values):
        self.elapsed, self.agents = values["elapsed"], list(values["agents"])
        self.rng.bit_generator.state = values["rng"]


class Forgets(Stopped):
    def set_snapshot(self, values):
        self.elapsed, self.agents = values["elapsed"], list(values["agents"])


class OutgrowsItself(Stopped):
    """What it keeps grows while it is played, as arrays of contacts do."""

    def get_snapshot(self):
        return {**super().get_snapshot(), "contacts": np.zeros(self.elapsed + 1)}

    def set_snapshot(self, values):
        np.zeros(self.elapsed + 1)[:] = values["contacts"]
        super().set_snapshot(values)


class WrongView(Sound):
    def __init__(self):
        from masoft.spec import StateView

        super().__init__()
        self.observation_views = {"a": StateView((0, 1)), "b": StateView((1, 0))}

    def observation(self, agent):
        self.last = super().observation(agent)
        return self.last

    def state(self):
        return self.last


def test_a_sound_environment_passes():
    check_env(Sound)
    check_env(Stopped)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (OutOfRange, "'a' at step 0 must be inside Box"),
        (BothFlags, "must be either terminated or truncated"),
        (KeepsAgents, "agents after the end of an episode must be empty"),
        (ChangesItsSpaces, "same before and after a reset|equal at every call"),
        (NoChoice, "nonzero for one choice or more"),
        (WrongView, "must be its declared view of the state"),
        (Forgets, r"after 1 steps must be the whole environment. Got .a difference in \['a', 'b'\] after 1 more"),
        (OutgrowsItself, "snapshot after 1 steps must be one that a fresh episode takes. Got ValueError"),
    ],
)
def test_a_broken_promise_is_named(broken, reason):
    with pytest.raises(EnvironmentFault, match=reason):
        check_env(broken)


def test_what_its_seed_does_not_repeat_trains_and_is_remarked_on():
    report = check_env(Unseeded)
    (remark,) = [finding for finding in report.findings if finding.mark != "✓"]
    assert (
        report.passed and remark.mark == "!" and "The observation of reset(seed=0) must be repeatable" in remark.reason
    )
    with pytest.raises(EnvironmentFault, match=r"The observation of reset\(seed=0\) must be repeatable"):
        check_env(Unseeded, strict=True)


class Crowded(Sound):
    """Places are drawn from the seed, but not where somebody stood when the last episode ended."""

    n_places, lots = 10, np.random.default_rng(3)

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.lots = np.random.default_rng(seed)
        free = [place for place in range(self.n_places) if place not in self.stood()]
        self.places = self.lots.choice(free, 2, replace=False)
        return super().reset(seed, options)

    def stood(self):
        return getattr(self, "places", ())

    def observation(self, agent):
        return super().observation(agent) / 2 + self.places[self.possible_agents.index(agent)] / 20


class Forgetful(Crowded):
    def stood(self):
        return ()


def test_a_start_that_depends_on_what_was_played_before_is_remarked_on():
    report = check_env(Crowded)
    (remark,) = [finding for finding in report.findings if finding.mark != "✓"]
    assert (
        report.passed and remark.mark == "!" and "The observation of reset(seed=0) must be repeatable" in remark.reason
    )
    with pytest.raises(EnvironmentFault, match=r"reset\(seed=0\) must be repeatable.*forget the episode before"):
        check_env(Crowded, strict=True)
    check_env(Forgetful, strict=True)


class Lagging(Sound):
    """The first step shows what was done in the last one of the episode before."""

    done = 0

    def step(self, actions):
        self.shown, self.done = self.done, 3 * actions["a"] + actions["b"]
        return super().step(actions)

    def observation(self, agent):
        return super().observation(agent) / 2 + (self.shown / 20 if self.elapsed else 0)


def test_an_episode_that_goes_on_from_the_one_before_is_remarked_on():
    report = check_env(Lagging)
    (remark,) = [finding for finding in report.findings if finding.mark != "✓"]
    assert remark.mark == "!" and "Step 0 after reset(seed=0) must be repeatable" in remark.reason


def test_a_state_that_is_not_used_is_remarked_on():
    class Keeps(Sound):
        def reset(self, seed=None, options=None):
            self.state = {"a": 0}
            return super().reset(seed, options)

    report = check_env(Keeps)
    assert [finding.mark for finding in report.findings].count("!") == 1 and report.passed
    with pytest.raises(EnvironmentFault, match="the observations in a row stand in"):
        check_env(Keeps, strict=True)


def test_all_faults_are_reported_at_once():
    class Worse(OutOfRange, BothFlags):
        pass

    with pytest.raises(EnvironmentFault, match=r"3 faults:(.|\n)*inside Box(.|\n)*either terminated or truncated"):
        check_env(Worse)


def test_the_report_says_what_becomes_of_each_agent():
    from masoft.envs.report import examine

    report = check_env(Sound, n_steps=20)
    assert [agent.name for agent in report.agents] == ["a", "b"] and report.steps_per_second > 0
    assert report.agents[0].becomes == "float32[2], numbers as they are" and "Discrete(3)" in report.agents[0].acts
    assert str(report).count("✓") == len(report.findings) and "action masks: yes, 6 entries" in str(report)
    failed = examine(OutOfRange, n_steps=20)
    assert not failed.passed and "✗ agents report what their own spaces declare: " in str(failed)

    class NoTeam(Sound):
        def __init__(self):
            super().__init__()
            self.possible_agents = None

    with pytest.raises(ConfigurationError, match="possible_agents"):
        check_env(NoTeam)
    assert "✗ the environment is a team" in str(examine(NoTeam))


def test_pictures_are_named_in_the_report():
    class Sees(Sound):
        def observation_space(self, agent):
            return spaces.Box(0, 255, (8, 9, 3), np.uint8) if agent == "a" else spaces.Discrete(4)

        def observation(self, agent):
            return self.rng.integers(0, 255, (8, 9, 3)).astype(np.uint8) if agent == "a" else self.rng.integers(4)

    first, second = check_env(Sees, n_steps=20).agents
    assert first.becomes == "uint8[3, 8, 9], picture, channels moved to the front"
    assert second.becomes == "float32[4], one-hot"
