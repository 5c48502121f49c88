"""An environment of another team than the model's is refused, and the model stays what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from masoft import HASAC
from masoft.errors import ConfigurationError
from masoft.testing.games import IdentityTeam

SMALL: dict[str, Any] = dict(learning_starts=8, batch_size=8, buffer_size=64, seed=0, device="cpu")
OTHERS = [
    (
        IdentityTeam(("discrete",)),
        r"^The agents of the environment must be as the model has it: \('agent_0', 'agent_1'\)",
    ),
    (
        IdentityTeam(("discrete", "discrete")),
        r"^The observation space of agent 'agent_1' of the environment must be .*\(2,\), float32\). Got Box",
    ),
    (
        IdentityTeam(("discrete", "box"), masks=False),
        r"^has_masks of the environment must be as the model has it: True. Got False. Give an environment like the one",
    ),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_another_team_is_refused_by_the_first_difference(other: Any, message: str, tmp_path: Path) -> None:
    model = HASAC(IdentityTeam(("discrete", "box")), **SMALL)
    team = model.team
    with pytest.raises(ConfigurationError, match=message) as caught:
        model.set_env(other)
    assert "leaves them alone" not in str(caught.value)
    assert model.team == team  # what was refused leaves nothing behind
    model.save(tmp_path / "model.zip")
    with pytest.raises(ConfigurationError, match=message):
        HASAC.load(tmp_path / "model.zip", env=other)
    model.set_env(IdentityTeam(("discrete", "box")))
    model.learn(20)
