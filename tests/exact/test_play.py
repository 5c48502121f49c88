"""The bridge between exact games and learners: what is played has the value that is solved for."""

from __future__ import annotations

import numpy as np
import pytest

import masoft
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.tabular import GameEnv, MarkovGame, evaluate, haspi, learned_policies
from masoft.testing import check_env

QUICK = {"device": "cpu", "seed": 0, "policy_kwargs": {"net_arch": [32]}}


def small_game(seed: int = 1, legal_share: float = 0.7) -> MarkovGame:
    return MarkovGame.random(3, (2, 3), 0.9, np.random.default_rng(seed), legal_share)


def discounted_return(env: GameEnv, rng: np.random.Generator) -> float:
    """Of one episode with uniform legal actions."""
    _, infos = env.reset()
    total, weight = 0.0, 1.0
    while env.agents:
        actions = {name: rng.choice(np.flatnonzero(infos[name]["action_mask"])) for name in env.agents}
        _, rewards, _, _, infos = env.step(actions)
        total, weight = total + weight * rewards["agent_0"], weight * env.game.gamma
    return total


@pytest.mark.parametrize("game", [small_game(), small_game(legal_share=1.0), MarkovGame.matrix(np.eye(3))])
def test_a_game_is_an_environment(game):
    check_env(lambda: GameEnv(game), n_steps=60)


def test_returns_of_episodes_have_the_mean_that_is_solved_for():
    """300 episodes of 120 steps, which leave out 3e-6 of the discounts."""
    game, rng = small_game(), np.random.default_rng(0)
    env = GameEnv(game, max_episode_steps=120)
    env.reset(seed=0)
    returns = [discounted_return(env, rng) for _ in range(300)]
    exact = evaluate(game, game.uniform_policies(), ent_coef=0.0).soft_return
    assert abs(np.mean(returns) - exact) < 4 * np.std(returns) / np.sqrt(len(returns))


def test_a_one_step_game_ends_by_termination_and_others_are_cut():
    env = GameEnv(MarkovGame.matrix(np.eye(2)))
    env.reset(seed=0)
    _, rewards, ends, cuts, _ = env.step({"agent_0": 1, "agent_1": 1})
    assert rewards == {"agent_0": 1.0, "agent_1": 1.0} and all(ends.values()) and not any(cuts.values())
    env = GameEnv(small_game(legal_share=1.0), max_episode_steps=1)
    env.reset(seed=0)
    _, _, ends, cuts, _ = env.step({"agent_0": 1, "agent_1": 1})
    assert not any(ends.values()) and all(cuts.values()) and not env.agents


def test_what_is_refused():
    game = small_game()
    with pytest.raises(ConfigurationError, match="max_episode_steps must be an integer >= 1"):
        GameEnv(game, max_episode_steps=0)
    env = GameEnv(game)
    with pytest.raises(EnvironmentFault, match="running when step is called"):
        env.step({"agent_0": 0, "agent_1": 0})
    state = int(np.flatnonzero(~game.legal[0].all(1))[0])
    env.reset(seed=0)
    env._where = state
    illegal = int(np.flatnonzero(~game.legal[0][state])[0])
    with pytest.raises(EnvironmentFault, match="legal by the masks"):
        env.step({"agent_0": illegal, "agent_1": int(np.flatnonzero(game.legal[1][state])[0])})
    model = masoft.HASAC(GameEnv(game), **QUICK)
    for other in (MarkovGame.matrix(np.eye(2)), small_game(legal_share=1.0)):
        with pytest.raises(ConfigurationError, match="The model must be trained on GameEnv"):
            learned_policies(model, other)


@pytest.mark.parametrize("algorithm", ["HASAC", "MAPPO", "HATD3", "FOP", "QMIX", "HAD3QN"])
def test_tables_are_what_the_team_plays(algorithm):
    """Legal, and the model's own mode at each state."""
    game = small_game()
    model = getattr(masoft, algorithm)(GameEnv(game), **QUICK)
    tables = game.checked_policies(learned_policies(model, game))
    states = np.eye(3, dtype=np.float32)
    seen = {"agent_0": states, "agent_1": states, "action_mask": np.concatenate(game.legal, axis=1)}
    played, _ = model.predict(seen, deterministic=True)
    for own, table in zip(np.asarray(played).T, tables, strict=True):
        np.testing.assert_array_equal(own, table.argmax(-1))


def test_a_learned_team_is_as_good_as_the_exact_one():
    """Two seeds: networks end within a twentieth of what the exact method gains over uniform play."""
    game = small_game()
    start = evaluate(game, game.uniform_policies(), ent_coef=0.2).soft_return
    best = haspi(game, ent_coef=0.2).soft_returns[-1]
    for seed in (0, 1):
        model = masoft.HASAC(
            GameEnv(game), gamma=game.gamma, ent_coef=0.2, learning_rate=2e-3, tau=0.02, batch_size=64, n_steps=1,
            learning_starts=100, **{**QUICK, "seed": seed},
        ).learn(800)  # fmt: skip
        learned = evaluate(game, learned_policies(model, game), ent_coef=0.2).soft_return
        assert learned > start + 0.95 * (best - start)
