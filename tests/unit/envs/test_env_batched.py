"""Batches as VecEnvs: what they refuse, what they report at the end of an episode, what of them can be asked."""

import numpy as np
import pytest
from gymnasium import spaces

from masoft import HASAC
from masoft.envs.batched import BatchedStep, BatchedVecEnv, monitored
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.spec import ACTION_MASK, ACTIVE, make_team_spec

N = 3


class Counting(BatchedVecEnv):
    """One agent chooses among three, of which the first is forbidden in odd steps; the other has a Box of its own.

    Environment i ends after i + 2 steps, the first by truncation. Agent "b" of environment 2 dies in its first step.
    """

    def __init__(self, team_reward="sum", reward=None, break_at=None):
        box = spaces.Box(-1, 10, (2,), np.float32)
        team = make_team_spec(
            {"a": box, "b": box},
            {"a": spaces.Discrete(3), "b": spaces.Box(-2, 4, (1,), np.float32)},
            has_masks=True,
            has_deaths=True,
        )
        super().__init__(N, team, team_reward=team_reward, name="counting")
        self.reward, self.break_at = reward, break_at
        self.clock = np.zeros(N, int)
        self.started = []

    def _start(self, seeds):
        self.started.append(list(seeds))
        self.clock[:] = 0
        return self.seen()

    def _advance(self, actions):
        self.clock += 1
        if self.break_at == self._elapsed:
            raise OSError("the simulator gave up")
        self.acted = actions
        over = self.clock >= np.arange(N) + 2
        final = self.seen()
        cut = over & (np.arange(N) == 0)
        rewards = np.tile([1.0, 2.0], (N, 1)) if self.reward is None else self.reward
        self.clock[over] = 0
        return BatchedStep(self.seen(), final, rewards, over & ~cut, cut, np.ones(N, bool))

    def seen(self):
        own = np.repeat(self.clock[:, None], 2, 1).astype(np.float32)
        mask = np.ones((N, 3), np.int8)
        mask[:, 0] = self.clock % 2 == 0
        active = np.ones((N, 2), np.int8)
        active[2, 1] = self.clock[2] == 0
        return {"a": own, "b": own.copy(), ACTION_MASK: mask, ACTIVE: active}


def test_it_is_what_a_dummy_vec_env_of_teams_is():
    batch = Counting()
    batch.seed(5)
    first = batch.reset()
    assert batch.started == [[5, 6, 7]] and first["a"].tolist() == [[0, 0]] * N
    _, rewards, dones, infos = batch.step(np.full((N, 2), 1.0))
    assert rewards.tolist() == [3, 3, 3] and not dones.any() and infos[0] == {"rewards": {"a": 1.0, "b": 2.0}}
    observations, rewards, dones, infos = batch.step(np.full((N, 2), 1.0))
    assert rewards.tolist() == [3, 3, 1] and infos[2]["rewards"] == {"a": 1.0, "b": 0.0}  # who has left counts nothing
    assert dones.tolist() == [True, False, False] and infos[0]["TimeLimit.truncated"] is True
    assert infos[0]["terminal_observation"]["a"].tolist() == [2, 2] and observations["a"][0].tolist() == [0, 0]
    assert infos[0]["is_success"] is True and "terminal_observation" not in infos[1]
    infos = batch.step(np.full((N, 2), 1.0))[3]
    assert infos[1]["TimeLimit.truncated"] is False
    batch.reset()
    assert batch.started[-1] == [None] * N  # a seed serves once


@pytest.mark.parametrize(("choice", "rewards"), [("mean", [1.5, 1.5, 1.5]), ("sum", [3, 3, 3])])
def test_team_rewards(choice, rewards):
    batch = Counting(choice)
    batch.reset()
    assert batch.step(np.ones((N, 2)))[1].tolist() == rewards


def test_a_shared_reward_is_the_living_agents_and_has_to_be_shared():
    batch = Counting("shared", reward=np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    batch.reset()
    assert batch.step(np.ones((N, 2)))[1].tolist() == [1, 2, 3]
    assert batch.step(np.ones((N, 2)))[1].tolist() == [1, 2, 3]  # in the third, one agent has left
    batch.reward = np.tile([1.0, 2.0], (N, 1))
    with pytest.raises(EnvironmentFault, match="must be the same for all agents"):
        batch.step(np.ones((N, 2)))


@pytest.mark.parametrize(
    ("env", "entry", "value", "reason"),
    [
        (1, 0, 3, r"agent 'a' in environment 1, at vector step 2 of counting must be a choice below \(3,\)"),
        (
            1,
            0,
            0,
            r"agent 'a' in environment 1, at vector step 2 of counting must be one of the legal choices \[1, 2\]",
        ),
        (0, 1, 4.5, r"agent 'b' in environment 0, .* must be finite and inside Box"),
        (0, 1, np.nan, "agent 'b' in environment 0, .* must be finite"),
        (2, 0, np.inf, "agent 'a' in environment 2"),
    ],
)
def test_illegal_actions_are_refused_with_the_agents_name(env, entry, value, reason):
    batch = Counting()
    batch.reset()
    batch.step(np.ones((N, 2)))
    actions = np.ones((N, 2))
    actions[env, entry] = value
    with pytest.raises(EnvironmentFault, match=reason):
        batch.step(actions)


def test_rounding_is_forgiven_and_the_dead_may_be_told_anything():
    batch = Counting()
    batch.reset()
    batch.step(np.ones((N, 2)))
    batch.step(np.array([[1.0001, 4.0002], [1, 1], [1, np.nan]]))
    assert batch.acted[0].tolist() == [1, 4] and np.isfinite(batch.acted).all()


def test_wrong_shapes_and_times():
    batch = Counting()
    with pytest.raises(EnvironmentFault, match="must be running when step is called.*Call reset first"):
        batch.step(np.ones((N, 2)))
    batch.reset()
    with pytest.raises(EnvironmentFault, match=r"must be of shape \(3, 2\)"):
        batch.step(np.ones((N, 1)))


def test_what_the_simulator_raises_or_reports_wrongly_is_a_fault():
    batch = Counting(break_at=1)
    batch.reset()
    with pytest.raises(EnvironmentFault, match="step at vector step 1 of counting must be free of errors.*gave up"):
        batch.step(np.ones((N, 2)))
    batch = Counting(reward=np.full((N, 2), np.nan))
    batch.reset()
    with pytest.raises(EnvironmentFault, match="The rewards .* must be finite"):
        batch.step(np.ones((N, 2)))


def test_observations_that_are_not_finite_are_a_fault(monkeypatch):
    batch = Counting()
    seen = batch.seen()
    seen["b"][1, 0] = np.nan
    monkeypatch.setattr(batch, "seen", lambda: seen)
    with pytest.raises(EnvironmentFault, match="'b' of environment 1 .* must be finite everywhere"):
        batch.reset()


def test_attributes_belong_to_the_whole():
    batch = Counting()
    assert batch.get_attr("name", [0, 2]) == ["counting"] * 2 and batch.env_is_wrapped(object) == [False] * N
    batch.set_attr("name", "other")
    assert batch.env_method("_where") == ["at vector step 0 of other"] * N
    with pytest.raises(ConfigurationError, match="indices of set_attr must be None"):
        batch.set_attr("name", "third", indices=[0])
    with pytest.raises(ConfigurationError, match="indices of env_method must be None"):
        batch.env_method("close", indices=1)


def test_an_estimator_trains_on_it_and_a_monitor_writes_a_file(tmp_path):
    model = HASAC(monitored(Counting(), str(tmp_path / "logs")), learning_starts=6, batch_size=8, seed=0)
    model.learn(24)
    assert model.num_timesteps == 24 and {episode["l"] for episode in model.ep_info_buffer} == {2, 3, 4}
    model.get_env().close()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["0.monitor.csv"]
