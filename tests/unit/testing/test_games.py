"""The identity team: what it pays, what it shows, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from masoft import HASAC
from masoft.errors import ConfigurationError
from masoft.testing import IdentityTeam, check_env


def test_it_keeps_an_environments_promises() -> None:
    check_env(IdentityTeam(), n_steps=60)
    check_env(IdentityTeam(("multibinary", "box"), masks=False, episode_length=1), n_steps=20)


def test_playing_the_target_gets_the_best_return_in_every_kind() -> None:
    env = IdentityTeam(("box", "discrete", "multidiscrete", "multibinary"))
    env.reset(seed=0)
    total = 0.0
    while env.agents:
        actions = {agent: env._targets[agent].copy() for agent in env.agents}
        actions["agent_1"] = actions["agent_1"][0]
        _, rewards, _, _, _ = env.step(actions)
        total += np.mean(list(rewards.values()))
    assert total == pytest.approx(env.best_return)


def test_the_spaces_are_the_awkward_ones() -> None:
    env = IdentityTeam()
    box, discrete = env.action_space("agent_0"), env.action_space("agent_1")
    assert isinstance(box, spaces.Box) and not np.allclose(box.low, -box.high)
    assert isinstance(discrete, spaces.Discrete) and discrete.start == 2
    sizes = [env.observation_space(agent).shape for agent in env.possible_agents]
    assert len(set(sizes)) == 3


def test_a_forbidden_choice_is_refused_by_the_game_itself() -> None:
    env = IdentityTeam(("discrete",))
    _, infos = env.reset(seed=0)
    forbidden = 2 + int(np.flatnonzero(infos["agent_0"]["action_mask"] == 0)[0])
    with pytest.raises(ConfigurationError, match="choice of agent_0 must be allowed by its mask"):
        env.step({"agent_0": forbidden})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kinds": ["boks"]}, "A kind of agent must be one of .*Did you mean 'box'"),
        ({"kinds": []}, "kinds must be one agent or more"),
        ({"episode_length": 0}, "episode_length must be an integer >= 1"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigurationError, match=message):
        IdentityTeam(**arguments)


@pytest.mark.slow
def test_hasac_solves_the_mixed_team_and_never_takes_a_forbidden_choice() -> None:
    model = HASAC(
        IdentityTeam(), gamma=0.5, learning_starts=100, batch_size=64, learning_rate=1e-3,
        policy_kwargs={"net_arch": [64, 64]}, seed=0,
    ).learn(1_000)  # fmt: skip
    assert model.score(n_eval_episodes=20) > 0.88 * IdentityTeam().best_return
