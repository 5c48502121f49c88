"""Studies on dask and Ray, on clusters of this machine whose workers have working folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from masoft.errors import ConfigurationError
from masoft.studies import Study, Task, Variant, read_results, run
from masoft.studies.folder import FAILED

SMALL = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 4, "learning_starts": 8, "buffer_size": 64}


def small(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "algorithms": [Variant("HASAC", "soft", SMALL)], "environments": [Task("matrix/maxent")],
        "seeds": [0, 1], "total_timesteps": 16, "eval_every": 8, "eval_episodes": 2,
    }  # fmt: skip
    return Study(**{**values, **changes})


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dask scheduler and a worker as processes of their own, started elsewhere."""
    pytest.importorskip("distributed")
    place = tmp_path_factory.mktemp("dask")
    address_file = place / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place}
    root = str(Path(__file__).parents[3])
    quiet["env"] = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    python = [sys.executable, "-m"]
    common = ["--scheduler-file", str(address_file)]
    first = [*python, "distributed.cli.dask_scheduler", *common, "--port", "0", "--no-dashboard"]
    second = [*python, "distributed.cli.dask_worker", *common, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    both = [subprocess.Popen(first, **quiet), subprocess.Popen(second, **quiet)]
    import distributed

    with distributed.Client(scheduler_file=str(address_file), set_as_default=False, timeout=60) as client:
        client.wait_for_workers(1, timeout=60)
        address = str(client.scheduler.address)
    yield address
    for process in reversed(both):
        process.terminate()
        process.wait()


@pytest.mark.filterwarnings("ignore")
def test_dask_at_an_address_gives_the_serial_numbers(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(small(), "serial", progress_bar=False)
    outcome = run(small(), "far", n_jobs=2, backend="dask", address=scheduler, progress_bar=False)
    assert len(outcome["done"]) == 2 and not [*Path("far").glob(f"*/{FAILED}")]
    assert read_results("serial").equals(read_results("far"))


@pytest.mark.filterwarnings("ignore")
def test_no_scheduler_at_the_address(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigurationError, match="address of dask"),
    ):
        run(small(), tmp_path, backend="dask", address="tcp://127.0.0.1:9", progress_bar=False)
    assert distributed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_of_ray_that_goes_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes; one is removed while it trains, and its run is done by the other."""
    ray = pytest.importorskip("ray")
    import threading
    import time

    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    study = small(seeds=[0, 1, 2], total_timesteps=1500, eval_every=500)
    try:
        ray.init(address=cluster.address, log_to_driver=False)

        def remove() -> None:
            while len([*tmp_path.glob(".work/*.part-*/evaluations.csv")]) < 2:
                time.sleep(0.1)
            cluster.remove_node(node, allow_graceful=False)

        thread = threading.Thread(target=remove)
        thread.start()
        outcome = run(study, tmp_path, n_jobs=2, backend="ray", progress_bar=False)
        thread.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert len(outcome["done"]) == 3
    assert read_results(tmp_path).groupby("run")["timesteps"].apply(list).tolist() == [[500, 1000, 1500]] * 3
