"""Mixed teams: whose agent plays where, and what the table and the picture say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import masoft
from masoft import HAPPO, HASAC
from masoft.envs.adapters.matrix import MatrixGame
from masoft.errors import ConfigurationError
from masoft.studies import cross_play, draw_cross_play
from masoft.studies.mixed_teams import MixedTeam
from masoft.testing.games import IdentityTeam

PAYOFF = np.array([[1.0, 2.0], [30.0, 4.0]])


def game() -> MatrixGame:
    return MatrixGame(PAYOFF)


def certain(choice: int, kind: Any = HASAC) -> Any:
    """A team whose agents always make one choice."""
    model = kind(game(), policy_kwargs=dict(net_arch=[8]))
    with torch.no_grad():
        for actor in model.policy.actors:
            actor.head.linear.weight.zero_()
            actor.head.linear.bias.copy_(torch.eye(2)[choice] * 9)
    return model


def test_rows_play_the_chosen_agents_and_columns_the_others(tmp_path: Path) -> None:
    models = {"first": certain(0), "second": certain(1, HAPPO)}
    found = cross_play(models, game, n_eval_episodes=2)
    assert np.array_equal(found.values, PAYOFF) and found.agents == ("agent_0",)
    assert found.self_play == 2.5 and found.cross_play == 16.0
    swapped = cross_play(models, game, agents="agent_1", n_eval_episodes=2)
    assert np.array_equal(swapped.values, PAYOFF.T)
    lines = str(found).splitlines()
    assert lines[1].split()[:2] == ["first", "1"] and "30 [30, 30]" in lines[2] and "with others 16" in lines[3]
    picture = np.asarray(Image.open(draw_cross_play(found, tmp_path / "c.png")).convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_the_diagonal_is_each_model_by_itself() -> None:
    env = masoft.make_vec(IdentityTeam, 3, seed=0)
    one, other = (HASAC(IdentityTeam(), policy_kwargs=dict(net_arch=[8]), seed=seed) for seed in (0, 1))
    seen = env.reset()
    alone, _ = one.predict(seen, deterministic=True)
    theirs, _ = other.predict(seen, deterministic=True)
    np.testing.assert_array_equal(MixedTeam(one, one, ["agent_1"]).predict(seen)[0], alone)
    mixed, _ = MixedTeam(one, other, ["agent_0", "agent_2"]).predict(seen)
    where = one.team.action_slices
    for i, expected in enumerate((alone, theirs, alone)):
        np.testing.assert_array_equal(mixed[:, where[i]], expected[:, where[i]])


def test_models_with_a_memory_and_exported_actors_take_part(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    import masoft.deploy

    recurrent = HAPPO("RnnPolicy", IdentityTeam(), policy_kwargs=dict(net_arch=[8], hidden_size=4), seed=0)
    plain = HASAC(IdentityTeam(), policy_kwargs=dict(net_arch=[8]), seed=0)
    exported = masoft.deploy.load(plain.export(tmp_path))
    found = cross_play({"gru": recurrent, "onnx": exported, "torch": plain}, IdentityTeam, n_eval_episodes=2)
    assert np.isfinite(found.values).all()
    np.testing.assert_allclose(found.values[1], found.values[2], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (dict(models={"alone": None}), "models must be"),
        (dict(n_eval_episodes=1), "n_eval_episodes must be"),
        (dict(agents=["agent-1"]), "Did you mean 'agent_1'"),
        (dict(agents=["agent_0", "agent_1"]), "not all"),
        (dict(agents=[]), "not all"),
        (dict(env=IdentityTeam), "The team of model 'a' must be"),
    ],
)
def test_what_cannot_be_mixed_is_named(changes: dict[str, Any], says: str) -> None:
    model = certain(0)
    with pytest.raises(ConfigurationError, match=says):
        cross_play(**{"models": {"a": model, "b": model}, "env": game, "n_eval_episodes": 2, **changes})
