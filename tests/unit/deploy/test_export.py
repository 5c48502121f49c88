"""Exported actors play what ``predict`` plays, on every kind of space, with and without masks and memories."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

import masoft
from masoft.deploy import load, read_contract
from masoft.deploy.contract import Contract, space_from_json, space_to_json
from masoft.deploy.export import export_policy, file_names
from masoft.errors import ConfigurationError, MissingDependencyError, ModelFileError
from masoft.spec import TeamSpec, make_team_spec
from masoft.testing.games import IdentityTeam

SMALL = {"net_arch": [8]}
ACTIONS = {
    "asymmetric": spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32)),
    "matrix": spaces.Box(-2.0, 7.0, (2, 2), np.float64),
    "whole": spaces.Box(-3, 9, (2,), np.int64),
    "discrete": spaces.Discrete(5, start=3),
    "multi": spaces.MultiDiscrete([2, 3], start=[1, -1]),
    "binary": spaces.MultiBinary(3),
}


def team_of_all(has_masks: bool) -> TeamSpec:
    """One agent of each kind; observations of two shapes, and an image of bytes."""
    seen: dict[str, Any] = {name: spaces.Box(-np.inf, np.inf, (3,), np.float32) for name in ACTIONS}
    seen["matrix"] = spaces.Box(0, 255, (3, 7, 7), np.uint8)
    seen["multi"] = spaces.Box(-1.0, 1.0, (2, 2), np.float32)
    return make_team_spec(seen, ACTIONS, has_masks=has_masks)


def model_for(name: str, team: TeamSpec, policy: str = "MlpPolicy", **kwargs: Any) -> Any:
    """A team whose weights are large enough for its actions to differ from state to state."""
    model = getattr(masoft, name)(policy, None, policy_kwargs={**SMALL, **kwargs}, seed=3)
    model.build_for(team)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.policy.actors.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return model


def observations(team: TeamSpec, n: int | None, seed: int = 0) -> dict[str, np.ndarray]:
    """A single observation of each agent, or a batch."""
    rng = np.random.default_rng(seed)
    lead = () if n is None else (n,)
    return {
        a.name: rng.integers(0, 256, (*lead, *a.observation_shape)).astype(np.uint8)
        if a.observation_space.dtype == np.uint8
        else rng.standard_normal((*lead, *a.observation_shape)).astype(np.float32)
        for a in team.agents
    }


def masks(team: TeamSpec, n: int | None, seed: int = 0) -> dict[str, np.ndarray]:
    """Masks with a legal choice in every part."""
    rng = np.random.default_rng(seed)
    found = {}
    for agent in team.agents:
        if not agent.action.is_box:
            rows = rng.random((n or 1, agent.action.mask_size)) < 0.3
            rows[:, np.cumsum([0, *agent.action.nvec[:-1]])] = True
            found[agent.name] = rows if n is not None else rows[0]
    return found


def assert_same(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert mine.keys() == theirs.keys()
    for name, action in mine.items():
        other = theirs[name]
        assert np.asarray(other).dtype == np.asarray(action).dtype and np.shape(other) == np.shape(action), name
        np.testing.assert_allclose(other, action, atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("algorithm", ["HASAC", "HATD3", "HAPPO"])
@pytest.mark.parametrize("has_masks", [False, True])
def test_plays_what_predict_plays(algorithm: str, has_masks: bool, tmp_path: Path) -> None:
    team = team_of_all(has_masks)
    model = model_for(algorithm, team)
    deployed = load(model.export(tmp_path))
    for n in (None, 1, 40):
        seen = observations(team, n)
        allowed = masks(team, n) if has_masks else {}
        expected = model.predict(seen, action_masks=allowed, deterministic=True)
        found = deployed.predict(seen, action_masks=allowed)
        assert_same(expected, found)
        if n is None:
            assert all(ACTIONS[name].contains(action) for name, action in found.items())


def test_masked_choices_are_never_taken(tmp_path: Path) -> None:
    team = team_of_all(True)
    deployed = load(model_for("HASAC", team).export(tmp_path))
    seen, allowed = observations(team, 200), masks(team, 200, seed=1)
    free, held = deployed.predict(seen), deployed.predict(seen, action_masks=allowed)
    assert allowed["discrete"][np.arange(200), held["discrete"] - 3].all()
    assert not allowed["discrete"][np.arange(200), free["discrete"] - 3].all()


@pytest.mark.parametrize(
    ("algorithm", "policy"), [("QMIX", "MlpPolicy"), ("QMIX", "RnnPolicy"), ("HAPPO", "RnnPolicy")]
)
def test_memory_and_values(algorithm: str, policy: str, tmp_path: Path) -> None:
    kinds = ["discrete", "multi", "binary"] + (["asymmetric"] if algorithm == "HAPPO" else [])
    seen = {name: spaces.Box(-1.0, 1.0, (3,), np.float32) for name in kinds}
    team = make_team_spec(seen, {name: ACTIONS[name] for name in kinds}, has_masks=True)
    model = model_for(algorithm, team, policy, **({"hidden_size": 6} if policy == "RnnPolicy" else {}))
    deployed = load(model.export(tmp_path))
    mine = theirs = None
    for t in range(4):
        now, allowed = observations(team, 7, seed=t), masks(team, 7, seed=t)
        starts = np.array([t == 2] * 3 + [False] * 4)
        if policy == "MlpPolicy":
            expected = model.predict(now, action_masks=allowed, deterministic=True)
            assert_same(expected, deployed.predict(now, action_masks=allowed))
            continue
        expected, mine = model.predict(now, mine, starts, True, allowed)
        found, theirs = deployed.predict(now, theirs, starts, action_masks=allowed)
        assert_same(expected, found)
        assert_same(mine, theirs)


def test_team_observation_as_stable_baselines_gives_it(tmp_path: Path) -> None:
    env = masoft.make_vec(IdentityTeam, 3, seed=0)
    model = masoft.HASAC("MlpPolicy", env, policy_kwargs=SMALL, seed=0)
    deployed = load(model.export(tmp_path))
    batch = env.reset()
    expected, _ = model.predict(batch, deterministic=True)
    found, state = deployed.predict(batch)
    assert state is None and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-5)
    single, _ = deployed.predict({name: values[0] for name, values in batch.items()})
    np.testing.assert_allclose(single, expected[0], atol=1e-5)


def test_recurrent_team_observation(tmp_path: Path) -> None:
    env = masoft.make_vec(IdentityTeam, 2, seed=0)
    model = masoft.HAPPO("RnnPolicy", env, policy_kwargs={**SMALL, "hidden_size": 4}, seed=0)
    deployed = load(model.export(tmp_path))
    batch, mine, theirs = env.reset(), None, None
    for _ in range(3):
        expected, mine = model.predict(batch, mine, deterministic=True)
        found, theirs = deployed.predict(batch, theirs)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(theirs, mine, atol=1e-5)


def test_shared_actors_are_one_file_an_agent(tmp_path: Path) -> None:
    kinds = ("discrete", "discrete")
    env = masoft.make_vec(lambda: IdentityTeam(kinds), seed=0)
    model = masoft.HASAC(env, policy_kwargs={**SMALL, "share_parameters": True}, seed=0)
    model.export(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"agent_0.onnx", "agent_1.onnx", "team.json"}


def test_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    model = masoft.HASAC("MlpPolicy", IdentityTeam(), policy_kwargs=SMALL, seed=0)
    model.export(tmp_path)
    code = """
import sys
for name in ("torch", "stable_baselines3"):
    sys.modules[name] = None  # importing it now fails
import masoft, numpy as np
team = masoft.deploy.load(sys.argv[1])
actions = team.predict({"agent_0": np.zeros(2), "agent_1": np.zeros(4)}, action_masks={"agent_1": [0, 0, 1, 0]})
print(float(actions["agent_0"][0]), int(actions["agent_1"]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = {"agent_0": np.zeros(2), "agent_1": np.zeros(4)}
    expected = model.predict(seen, action_masks={"agent_1": [0, 0, 1, 0]}, deterministic=True)
    first, choice = done.stdout.split()
    assert float(first) == pytest.approx(float(expected["agent_0"][0]), abs=1e-5)
    assert int(choice) == expected["agent_1"] == 4


def test_one_robot_holds_its_own_file(tmp_path: Path) -> None:
    team = team_of_all(False)
    model_for("HASAC", team).export(tmp_path)
    (tmp_path / "binary.onnx").unlink()
    alone = load(tmp_path, ["discrete"])
    assert alone.predict({"discrete": np.zeros(3)})["discrete"] in ACTIONS["discrete"]
    with pytest.raises(ConfigurationError, match="one that was loaded"):
        alone.predict({"multi": np.zeros((2, 2))})
    with pytest.raises(ModelFileError, match=r"binary\.onnx"):
        load(tmp_path)
    with pytest.raises(ConfigurationError, match="Did you mean 'discrete'"):
        load(tmp_path, ["discret"])


def test_contract_comes_back(tmp_path: Path) -> None:
    team = team_of_all(True)
    written = export_policy(model_for("HASAC", team).policy, tmp_path, algorithm="HASAC")
    read = read_contract(tmp_path)
    assert read == written
    assert [agent.action_space for agent in read.team.agents] == [*ACTIONS.values()]
    entry = json.loads((tmp_path / "team.json").read_text())["agents"][3]
    assert entry["inputs"]["action_mask"] == {"dtype": "bool", "shape": ["batch", 5]}
    assert entry["outputs"]["action"] == {"dtype": "int64", "shape": ["batch"]}


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (2, 3), np.float32),
        spaces.Box(np.array([-np.inf, 0.1], np.float32), np.array([0.3, np.inf], np.float32)),
        spaces.Box(np.arange(4.0).reshape(2, 2), np.arange(4.0).reshape(2, 2) + 0.1, dtype=np.float64),
        spaces.MultiDiscrete([[2, 3], [4, 5]], dtype=np.int32),
        spaces.MultiBinary([2, 3]),
        *ACTIONS.values(),
    ],
    ids=str,
)
def test_spaces_survive_json(space: spaces.Space[Any]) -> None:
    again = space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False)))
    assert again == space and again.dtype == space.dtype


def test_names_that_are_no_file_names() -> None:
    assert file_names(("a", "b-1")) == ("a.onnx", "b-1.onnx")
    assert file_names(("../x", "ok")) == ("agent-number-0.onnx", "ok.onnx")
    assert file_names(("A", "a")) == ("agent-number-0.onnx", "agent-number-1.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "later version"),
        ({"agents": []}, "one agent or more"),
        ({"hidden_size": None}, "a whole number >= 0"),
        ({"hidden_size": 10**9}, "more than 4,194,304 entries"),
        ({"agents": None}, "incomplete or damaged"),
    ],
)
def test_damaged_contract(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    content = json.loads(Contract(team_of_all(False), tuple(f"{name}.onnx" for name in ACTIONS)).to_json())
    (tmp_path / "team.json").write_text(json.dumps(content | change))
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path)


def test_contract_cannot_point_elsewhere(tmp_path: Path) -> None:
    content = json.loads(Contract(team_of_all(False), tuple(f"{name}.onnx" for name in ACTIONS)).to_json())
    content["agents"][0]["file"] = "../secret.onnx"
    (tmp_path / "team.json").write_text(json.dumps(content))
    with pytest.raises(ModelFileError, match="plain name"):
        load(tmp_path)


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError, match=r"model\.export"):
        load(tmp_path)
    with pytest.raises(ConfigurationError, match="no networks yet"):
        masoft.HASAC("MlpPolicy").export(tmp_path)
    team = make_team_spec({"a": spaces.Box(-1, 1, (2,), np.float32)}, {"a": spaces.Discrete(2)})
    deployed = load(model_for("HASAC", team).export(tmp_path))
    with pytest.raises(ConfigurationError, match="deterministic must be true"):
        deployed.predict({"a": np.zeros(2)}, deterministic=False)
    with pytest.raises(ConfigurationError, match="action_masks must be left out"):
        deployed.predict({"a": np.zeros(2)}, action_masks={"a": [1, 0]})
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelFileError, match="its contract was written with"):
        load(tmp_path)
    contract = json.loads((tmp_path / "team.json").read_text())
    del contract["agents"][0]["sha256"]
    (tmp_path / "team.json").write_text(json.dumps(contract))
    with pytest.raises(ModelFileError, match="cannot be run"):
        load(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        load(tmp_path)


class Fickle(nn.Module):
    """Branches on the data in Python, which no graph can hold."""

    def __init__(self, actor: nn.Module) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, observation: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        return self.actor(observation if observation.sum() > 0 else 100 - observation, mask)


def test_an_actor_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    team = make_team_spec({"a": spaces.Box(-1, 1, (2,), np.float32)}, {"a": spaces.Box(-1, 1, (2,), np.float32)})
    policy = model_for("HASAC", team).policy
    policy.actors[0] = Fickle(policy.actors[0])
    with pytest.raises(ConfigurationError, match="exported actor of 'a'"):
        export_policy(policy, tmp_path)
    assert not (tmp_path / "team.json").exists()
