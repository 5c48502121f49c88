"""What callers pass to ``predict``: right, or refused by name; the same in both forms and in exported actors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import masoft
import masoft.deploy
from masoft import HAPPO, HASAC, QMIX
from masoft.errors import ConfigurationError
from masoft.spec import ACTION_MASK
from masoft.testing.games import IdentityTeam

KINDS = ["memoryless", "recurrent", "values", "deployed", "deployed-recurrent"]


@pytest.fixture(scope="module", params=KINDS)
def player(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Something that predicts for the team of `IdentityTeam`, or for one of categorical agents."""
    small: dict[str, Any] = dict(policy_kwargs=dict(net_arch=[8]), seed=0)
    if request.param == "values":
        return QMIX("RnnPolicy", IdentityTeam(("discrete", "discrete", "multidiscrete")), **small)
    is_recurrent = "recurrent" in request.param
    model = HAPPO("RnnPolicy", IdentityTeam(), **small) if is_recurrent else HASAC(IdentityTeam(), **small)
    if "deployed" not in request.param:
        return model
    pytest.importorskip("onnxruntime")
    return masoft.deploy.load(model.export(tmp_path_factory.mktemp("actors")))


def team_form(player: Any, n: int = 3) -> dict[str, Any]:
    names = {0: "box", 1: "discrete", 2: "multidiscrete"}
    kinds = [names[min(len(agent.action.nvec), 2)] for agent in player.team.agents]
    return dict(masoft.make_vec(lambda: IdentityTeam(kinds), n, seed=2).reset())


def dict_form(player: Any, n: int = 3) -> dict[str, Any]:
    seen, team = team_form(player, n), player.team
    own = {name: seen[ACTION_MASK][:, where] for name, where in zip(team.names, team.mask_slices, strict=True)}
    return {
        agent.name: seen[agent.name]
        if agent.action.is_box
        else {"observation": seen[agent.name], "action_mask": own[agent.name]}
        for agent in team.agents
    }


def acted(player: Any, observation: Any, **others: Any) -> dict[str, np.ndarray]:
    """Actions by agent, in either form; joint ones under one name."""
    answer = player.predict(observation, deterministic=True, **others)
    answer = answer[0] if isinstance(answer, tuple) else answer
    return answer if isinstance(answer, dict) else {"joint": answer}


def replaced(observation: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    """An observation with one agent's part changed, in either form."""
    value = observation[name]
    if isinstance(value, dict):
        return {**observation, name: {**value, "observation": change(value["observation"])}}
    return {**observation, name: change(value)}


FORMS = pytest.mark.parametrize("form", [team_form, dict_form])
SAME = {
    "float64": lambda values: values.astype(np.float64),
    "lists": lambda values: values.tolist(),
    "tensor": torch.as_tensor,
    "tensor in a graph": lambda values: torch.as_tensor(values).requires_grad_(),
    "tensors in a list": lambda values: [torch.as_tensor(row) for row in values],
    "not contiguous": lambda values: np.asfortranarray(values),
}


@FORMS
@pytest.mark.parametrize("kind", SAME)
def test_the_same_numbers_in_another_dress(player: Any, form: Any, kind: str) -> None:
    observation = form(player)
    expected = acted(player, observation)
    for name in player.team.names:
        found = acted(player, replaced(observation, name, SAME[kind]))
        for key, action in expected.items():
            np.testing.assert_array_equal(found[key], action)


REFUSED = {
    "nan": (lambda values: np.full_like(values, np.nan), "must be finite in single precision"),
    "infinite": (lambda values: np.full_like(values, np.inf), "must be finite in single precision"),
    "too large": (lambda values: np.full(values.shape, 1e300), "must be finite in single precision"),
    "shape": (lambda values: values[:, :-1], "must be of shape"),
    "ragged": (lambda values: [[1.0], [1.0, 2.0]], "must be an array of numbers"),
    "words": (lambda values: "north", "must be an array of numbers"),
    "nothing": (lambda values: None, "must be an array of numbers"),
    "tensor without values": (lambda values: torch.empty(values.shape, device="meta"), "must be an array of numbers"),
}


@FORMS
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_observation_is_refused_by_name(player: Any, form: Any, kind: str) -> None:
    change, says = REFUSED[kind]
    for name in player.team.names:
        with pytest.raises(ConfigurationError, match=f"agent '{name}' {says}"):
            player.predict(replaced(form(player), name, change))


def test_batches_of_different_sizes(player: Any) -> None:
    observation, first = dict_form(player, 3), player.team.names[0]
    short = replaced(observation, first, lambda values: values[:2])
    if isinstance(short[first], dict):
        short[first]["action_mask"] = short[first]["action_mask"][:2]
    found, expected = acted(player, short), acted(player, observation)  # agents act by themselves in this form
    assert len(found[first]) == 2
    for name, action in expected.items():
        np.testing.assert_allclose(found[name], action[: len(found[name])], rtol=1e-5, atol=1e-6)
    seen = team_form(player)
    for change in (lambda values: values[:2], lambda values: values[0]):
        with pytest.raises(ConfigurationError, match="a batch of one size for all agents.*" + first):
            player.predict({**seen, first: change(seen[first])})


def test_missing_and_unknown_agents(player: Any) -> None:
    names = player.team.names
    assert [*acted(player, {names[1]: dict_form(player)[names[1]]})] == [names[1]]  # who has left may be absent
    seen = team_form(player)
    with pytest.raises(ConfigurationError, match=f"entry '{names[1]}' must be present"):
        player.predict({name: values for name, values in seen.items() if name != names[1]})
    for observation in (seen, dict_form(player)):
        with pytest.raises(ConfigurationError, match="Did you mean 'agent_"):
            player.predict({**observation, "agent-1": observation[names[1]]})


def test_masks_that_are_none(player: Any) -> None:
    seen = team_form(player)
    for bad in (seen[ACTION_MASK][:2], seen[ACTION_MASK] * 0, np.full(seen[ACTION_MASK].shape, np.nan), "all"):
        with pytest.raises(ConfigurationError, match="mask"):
            player.predict({**seen, ACTION_MASK: bad})
    with pytest.raises(ConfigurationError, match="action_masks must be left out with a team observation"):
        player.predict(seen, action_masks={"agent_1": seen[ACTION_MASK]})
    own = dict_form(player)
    for bad in (own["agent_1"]["action_mask"][:2], own["agent_1"]["action_mask"] * 0, "all"):
        with pytest.raises(ConfigurationError, match="action mask of agent 'agent_1'"):
            player.predict({**own, "agent_1": {**own["agent_1"], "action_mask": bad}})
    with pytest.raises(ConfigurationError, match="action_masks must be a dict"):
        player.predict(own, action_masks=np.ones((3, 4)))


def test_states_and_starts_that_do_not_fit(player: Any) -> None:
    seen, own = team_form(player), dict_form(player)
    if not isinstance(player.predict(own), tuple):
        pytest.skip("it has no memory")
    (_, joint), (_, apart) = player.predict(seen), player.predict(own)
    for state in (3, joint[:1], dict(apart), tuple(part[:2] for part in joint), tuple(part * np.nan for part in joint)):
        with pytest.raises(ConfigurationError, match="The state must be"):
            player.predict(seen, state)
    for state in (3, joint, {"agent_9": joint[0]}, {name: part[:2] for name, part in apart.items()}):
        with pytest.raises(ConfigurationError, match="The state must be"):
            player.predict(own, state)
    for observation, state in ((seen, joint), (own, apart)):
        with pytest.raises(ConfigurationError, match="episode_start must be one flag, or one for each of 3"):
            player.predict(observation, state, np.ones(2, bool))
        fresh, again = acted(player, observation), acted(player, observation, state=state, episode_start=[True] * 3)
        one = acted(player, observation, state=state, episode_start=True)
        for name in fresh:
            np.testing.assert_array_equal(fresh[name], again[name])
            np.testing.assert_array_equal(fresh[name], one[name])


def test_nobody_acts_in_an_empty_batch(player: Any) -> None:
    seen = {name: values[:0] for name, values in team_form(player).items()}
    assert acted(player, seen)["joint"].shape == (0, player.team.action_size)


def test_bytes_are_not_cut(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from gymnasium import spaces

    image = spaces.Box(0, 255, (3, 8, 8), np.uint8)
    from masoft.policies.team_policy import TeamPolicy
    from masoft.spec import make_team_spec

    team = make_team_spec({"eye": image}, {"eye": spaces.Discrete(2)})
    policy = TeamPolicy(team.observation_space, team.action_space, lambda _: 1.0, team=team, net_arch=[8])
    from masoft.deploy.export import export_policy

    export_policy(policy, tmp_path)
    deployed = masoft.deploy.load(tmp_path)
    seen = image.sample()
    for same in (seen.astype(np.float64), seen.astype(int), seen.tolist()):
        assert deployed.predict({"eye": same})["eye"] == deployed.predict({"eye": seen})["eye"]
    for other in (seen / 255, seen.astype(int) + 200, -seen.astype(int) - 1):
        with pytest.raises(ConfigurationError, match="agent 'eye' must be whole numbers from 0 to 255"):
            deployed.predict({"eye": other})
