"""VDN and QMIX: the joint value, its target, exploration, memory, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

from masoft import HASAC, QMIX, VDN
from masoft.errors import ConfigurationError, SpaceError
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = {
    "learning_starts": 20,
    "batch_size": 16,
    "buffer_size": 500,
    "policy_kwargs": {"net_arch": [16]},
    "seed": 0,
    "device": "cpu",
}
KINDS = ("discrete", "multidiscrete")


def collected(algorithm: type[Any], policy: str = "MlpPolicy", **changes: Any) -> Any:
    """A model with 40 transitions that has not been updated yet."""
    return algorithm(policy, IdentityTeam(KINDS), **{**SMALL, "learning_starts": 1_000, **changes}).learn(40)


def test_vdn_fits_the_sum_of_chosen_utilities_to_the_double_q_target() -> None:
    model = collected(VDN, gamma=0.5)
    with torch.no_grad():  # targets that differ from what is learned
        for parameter in model.policy.actors_target.parameters():
            parameter.add_(0.1)
    batch = model.sample_batch(8)
    value, target = model._begin_update().value_and_target(batch, 8)
    expected_value, expected_next = torch.zeros(8), torch.zeros(8)
    for i, where in enumerate(model.team.action_slices):
        mask = model.team.mask_slices[i]
        now = model.policy.actors[i](batch.observations[i], batch.masks[:, mask])
        expected_value += now.value_of(batch.actions[:, where])
        chosen = model.policy.actors[i](batch.next_observations[i], batch.next_masks[:, mask]).mode()
        judge = model.policy.actors_target[i](batch.next_observations[i], batch.next_masks[:, mask])
        expected_next += judge.value_of(chosen)
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(target, batch.rewards + 0.5 * (1 - batch.terminated) * expected_next.detach())


def test_targets_move_at_their_interval_and_are_copied_where_tau_is_1() -> None:
    model = collected(QMIX, tau=1.0, target_update_interval=2)
    first = next(model.policy.actors.parameters()).detach().clone()
    model.train(1, 16)
    assert torch.equal(next(model.policy.actors_target.parameters()), first)
    model.train(1, 16)
    pairs = [(model.policy.actors, model.policy.actors_target), (model.policy.mixer, model.policy.mixer_target)]
    for source, target in pairs:
        assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


class Walkers(IdentityTeam):
    """A team in a state of large numbers that is never paid; its episodes are cut, never over."""

    def __init__(self) -> None:
        super().__init__(KINDS)
        self.metadata["state_is_observations"] = False

    def step(self, actions: dict[str, Any]) -> Any:
        seen, rewards, terminated, truncated, infos = super().step(actions)
        return seen, dict.fromkeys(rewards, 0.0), terminated, truncated, infos

    def state(self) -> np.ndarray:
        return np.arange(8, dtype=np.float32)


def test_a_small_gain_keeps_values_near_0_where_nothing_is_paid() -> None:
    def size_of_values(**kwargs: Any) -> float:
        model = QMIX(Walkers(), **{**SMALL, "policy_kwargs": {"net_arch": [16], **kwargs}}).learn(100)
        seen = model.policy.obs_to_tensor(model._last_obs)[0]
        with torch.no_grad():
            own = [model.policy.distribution(k, seen[f"agent_{k}"]).values.max(-1).values for k in range(2)]
            return float(model.policy.mixer(torch.stack(own, dim=-1), seen["state"]).abs().max())

    assert size_of_values() > 10
    assert size_of_values(hypernet_gain=0.1) < 1


def test_an_agent_that_has_left_counts_nothing() -> None:
    from masoft.learners.decomposed import _of_present

    utilities = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    active = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert _of_present(utilities, active).tolist() == [[1.0, 0.0], [2.0, 4.0]]
    assert _of_present(utilities, None).tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_epsilon_falls_over_its_share_of_training_and_is_logged() -> None:
    model = VDN(IdentityTeam(KINDS), exploration_fraction=0.5, exploration_final_eps=0.2, **SMALL)
    assert model.exploration_rate == 1.0
    model.learn(100)
    assert model.exploration_rate == 0.2


@pytest.mark.parametrize("algorithm", [VDN, QMIX])
def test_a_box_agent_is_refused_with_what_takes_it(algorithm: type[Any]) -> None:
    with pytest.raises(SpaceError, match="agent 'agent_1' must be a Discrete or MultiDiscrete or MultiBinary"):
        algorithm(IdentityTeam(("discrete", "box")))


def test_more_actions_than_can_be_enumerated_are_refused() -> None:
    class Wide(IdentityTeam):
        def action_space(self, agent: str) -> spaces.Space[Any]:
            return spaces.MultiDiscrete([20, 20, 20])

    with pytest.raises(SpaceError, match="number of actions of agent 'agent_0' must be at most 4096 for VDN.*gumbel"):
        VDN(Wide(("multidiscrete",)))
    HASAC(Wide(("multidiscrete",)))  # takes it


def test_bad_policy_arguments_are_refused() -> None:
    for kwargs, message in (
        ({"net_arch": {"pi": [8], "qf": [8]}}, "net_arch must be a list"),
        ({"hidden_size": 0}, "hidden_size must be an integer >= 1"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            QMIX("RnnPolicy", IdentityTeam(KINDS), policy_kwargs=kwargs)


def test_memory_wants_one_step_returns() -> None:
    with pytest.raises(ConfigurationError, match="n_steps must be 1 where agents have a memory"):
        QMIX("RnnPolicy", IdentityTeam(KINDS), n_steps=3)


def test_walking_an_episode_gives_what_stepping_through_it_gives() -> None:
    model = collected(QMIX, "RnnPolicy")
    drawn = model._episodes.sample(3)
    steps, n = drawn.steps, drawn.n
    now, following = model.policy.now_and_next(0, steps, n)
    memory = ()
    for t in range(10):
        rows = slice(t * n, (t + 1) * n)
        obs = {name: steps.observations[i][rows].numpy() for i, name in enumerate(model.team.names)}
        obs["action_mask"] = steps.masks[rows].numpy()
        chosen, memory = model.policy.act_on(obs, memory, np.zeros(n, bool), True, None)
        np.testing.assert_array_equal(chosen[:, :1], now.mode()[rows].numpy())
    assert following.values.requires_grad is False and now.values.requires_grad
    # What follows a step is what the next step sees.
    torch.testing.assert_close(following.values[:-n], now.values[n:].detach())


class CueGame(ParallelEnv):  # type: ignore[misc]
    """Two agents see a cue at the first of three steps only, and are paid for repeating it at the last."""

    possible_agents = ["a", "b"]
    metadata = {"name": "cue", "has_deaths": False, "has_masks": False, "state_is_observations": True}

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (3,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        if seed is not None or not hasattr(self, "rng"):
            self.rng = np.random.default_rng(seed)
        self.agents, self.time, self.cue = [*self.possible_agents], 0, int(self.rng.integers(2))
        return self._see(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        self.time += 1
        over, agents = self.time == 3, self.agents
        reward = float(np.mean([actions[agent] == self.cue for agent in agents])) if over else 0.0
        self.agents = [] if over else agents
        flags = dict.fromkeys(agents, over), dict.fromkeys(agents, False)
        return self._see(), dict.fromkeys(agents, reward), *flags, {agent: {} for agent in agents}

    def _see(self) -> dict[str, np.ndarray]:
        shown = [float(self.time == 0) * self.cue, float(self.time == 0) * (1 - self.cue), self.time / 3]
        return {agent: np.array(shown, np.float32) for agent in self.possible_agents}


@pytest.mark.slow
def test_memory_solves_a_task_that_needs_it_and_the_mlp_cannot() -> None:
    settings = {**SMALL, "gamma": 0.9, "exploration_fraction": 0.6, "learning_rate": 3e-3, "tau": 0.05}
    with_memory = QMIX("RnnPolicy", CueGame(), **settings, train_freq=3, gradient_steps=1).learn(2_400)
    assert with_memory.score(n_eval_episodes=20) == 1.0
    without = QMIX("MlpPolicy", CueGame(), **settings, train_freq=3, gradient_steps=1).learn(1_200)
    assert without.score(n_eval_episodes=60) < 0.75
