"""A deployed team under load and under nonsense: the same answers from many threads, and refusals by name."""

from __future__ import annotations

import http.client
import importlib.util
import json
import math
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import masoft
from masoft.deploy import DeployedTeam, load
from masoft.errors import ConfigurationError
from masoft.testing.games import IdentityTeam

sys.path.insert(0, str(Path(__file__).parents[3]))  # benchmarks are no part of the package

from benchmarks import deployed as under_load

LEGAL = [0, 1, 1, 0]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> DeployedTeam:
    folder = tmp_path_factory.mktemp("actors")
    model = masoft.HASAC("MlpPolicy", IdentityTeam(), policy_kwargs={"net_arch": [8]}, seed=0)
    return load(model.export(folder))


def seen(n: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    lead = () if n is None else (n,)
    rng = np.random.default_rng(seed)
    return {f"agent_{i}": rng.uniform(-1, 1, (*lead, size)).astype(np.float32) for i, size in enumerate((2, 4, 5))}


def test_eight_threads_get_what_one_gets(team: DeployedTeam) -> None:
    alone = [team.predict(seen(n, seed)) for seed, n in enumerate([None, 1, 3, 17])]

    def ask(number: int) -> None:
        for i in range(100):
            seed = (number + i) % len(alone)
            got = team.predict(seen([None, 1, 3, 17][seed], seed))
            for agent, action in alone[seed].items():
                assert np.array_equal(got[agent], action), (number, i, agent)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(ask, number) for number in range(8)]:
            done.result()


def test_the_program_that_loads_it_counts_and_looks_at_memory() -> None:
    found = under_load.measure(n_threads=2, calls=50)
    assert found["calls"] == 100 and found["wrong"] == 0
    assert abs(found["MiB after"] - found["MiB before"]) < 5 and 0 < found["median ms"] <= found["99th percentile ms"]


def test_batches_are_their_rows(team: DeployedTeam) -> None:
    batch = seen(5)
    together = team.predict(batch)
    for i in range(5):
        single = team.predict({agent: values[i] for agent, values in batch.items()})
        for agent, action in single.items():
            assert np.allclose(together[agent][i], action, atol=1e-6)
    assert all(len(action) == 0 for action in team.predict(seen(0)).values())


def test_some_agents_may_be_missing_and_none_may_be_strange(team: DeployedTeam) -> None:
    whole, alone = team.predict(seen()), team.predict({"agent_0": seen()["agent_0"]})
    assert set(alone) == {"agent_0"} and np.array_equal(alone["agent_0"], whole["agent_0"])
    assert team.predict({}) == {}
    with pytest.raises(ConfigurationError, match=r"An agent's name .* Got 'agent_9'.*agent_"):
        team.predict({**seen(), "agent_9": np.zeros(2)})


WRONG: list[tuple[Any, str]] = [
    ([0.0, 0.0, 0.0], r"'agent_0' must be of shape \(2,\)"),
    ([[[0.0, 0.0]]], r"'agent_0' must be of shape \(2,\)"),
    (0.0, r"'agent_0' must be of shape \(2,\)"),
    ([math.nan, 0.0], "'agent_0' must be finite"),
    ([math.inf, 0.0], "'agent_0' must be finite"),
    ([1e300, 0.0], "'agent_0' must be finite in single precision"),
    (["a", "b"], "'agent_0' must be an array of numbers"),
    ([[0.0, 0.0], [0.0]], "'agent_0' must be an array of numbers"),
    (None, "'agent_0' must be an array of numbers"),
    ({"obs": [0.0, 0.0]}, "'agent_0' must be an array, or a dict with 'observation'"),
]


@pytest.mark.parametrize("value, message", WRONG, ids=lambda value: str(value)[:20])
def test_nonsense_is_refused_by_name(value: Any, message: str, team: DeployedTeam) -> None:
    with np.errstate(all="ignore"), pytest.raises(ConfigurationError, match=message):
        team.predict({**seen(), "agent_0": value})


@pytest.mark.parametrize("mask", [[0, 0, 0, 0], [1, 0, 0], [math.nan, 1, 1, 1], "legal"])
def test_masks_are_refused_by_name(mask: Any, team: DeployedTeam) -> None:
    with pytest.raises(ConfigurationError, match="'agent_1'"):
        team.predict(seen(), action_masks={"agent_1": mask})


@pytest.fixture
def server(team: DeployedTeam) -> Iterator[http.client.HTTPConnection]:
    """The example's server over a team."""
    path = Path(__file__).parents[3] / "examples" / "19_serve_team.py"
    spec = importlib.util.spec_from_file_location("serve_team", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Handler.team = team
    with ThreadingHTTPServer(("127.0.0.1", 0), module.Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", http_server.server_port, timeout=30)
        yield connection
        connection.close()
        http_server.shutdown()
        thread.join()


def test_the_servers_answers_are_the_teams(server: http.client.HTTPConnection, team: DeployedTeam) -> None:
    def post(text: str) -> tuple[int, dict[str, Any]]:
        server.request("POST", "/", text)
        answer = server.getresponse()
        return answer.status, json.loads(answer.read())

    observations = {agent: values.tolist() for agent, values in seen().items()}
    status, answer = post(json.dumps({"observations": observations, "action_masks": {"agent_1": LEGAL}}))
    expected = team.predict(seen(), action_masks={"agent_1": np.array(LEGAL)})
    assert status == 200 and answer["actions"]["agent_1"] == expected["agent_1"]
    assert answer["actions"]["agent_0"] == pytest.approx(expected["agent_0"].tolist())
    nonsense = ["{", "[]", '{"observation": 1}', '{"observations": {"agent_0": [NaN, 0]}}', '{"observations": 3}']
    for text in nonsense:
        status, answer = post(text)
        assert status == 400 and answer["error"], text
    assert post(json.dumps({"observations": observations}))[0] == 200
