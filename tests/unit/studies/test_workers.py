"""Studies whose workers, folders and leaders are lost: nothing is done twice, nothing is lost, and it is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from masoft.cli import cli
from masoft.errors import ConfigurationError
from masoft.files import FolderLock, read_table
from masoft.studies import Study, Task, Variant, read_results, run
from masoft.studies.folder import DONE, FAILED, WORK
from masoft.studies.pool import Executors, Lost, work_through, workers_of
from masoft.studies.work import LEADS, Order, execute

SMALL = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 4, "learning_starts": 8, "buffer_size": 64}
TOML = """
seeds = [0, 1, 2]
total_timesteps = {steps}
eval_every = {every}
eval_episodes = 2
environments = ["matrix/maxent"]
[[algorithms]]
algorithm = "HASAC"
parameters = {{policy_kwargs = {{net_arch = [4]}}, batch_size = 4, learning_starts = 8, buffer_size = 64}}
"""


def small(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "algorithms": [Variant("HASAC", "soft", SMALL)], "environments": [Task("matrix/maxent")],
        "seeds": [0, 1], "total_timesteps": 16, "eval_every": 8, "eval_episodes": 2,
    }  # fmt: skip
    return Study(**{**values, **changes})


def command(file: Path, out: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "masoft.cli", "study", str(file), "--out", str(out), "--no-progress", *flags]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def until(condition: Any, process: subprocess.Popen[str] | None = None, seconds: float = 90) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def order(folder: Path, **changes: Any) -> Order:
    (folder / WORK).mkdir()
    (folder / WORK / "lead").write_bytes(LEADS)
    return Order(folder, "lead", os.getpid(), **changes)


def succeed_or_die(folder: str, deaths: int) -> str:
    """Dies as often as asked, counted in a folder."""
    before = len(os.listdir(folder))
    if before < deaths:
        Path(folder, str(before)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@pytest.mark.parametrize("deaths", [1, 9])
def test_a_lost_worker_takes_nobody_with_it(deaths: int, tmp_path: Path) -> None:
    (tmp_path / "deaths").mkdir()
    workers = workers_of("multiprocessing", 2)
    assert isinstance(workers, Executors)
    found = dict(
        work_through(
            ["dies", "a", "b", "c"],
            lambda name: (succeed_or_die, str(tmp_path / "deaths"), deaths) if name == "dies" else (str.upper, name),
            workers, 2, retries=2, is_stopped=lambda: False, is_again=lambda item, answer: False,
        )
    )  # fmt: skip
    workers.close(now=False)
    assert {name: found[name] for name in "abc"} == {"a": "A", "b": "B", "c": "C"}
    if deaths == 1:
        assert found["dies"] == "alive"
    else:
        assert isinstance(found["dies"], Lost) and found["dies"].attempts == 3
        assert "worker was lost: BrokenProcessPool" in found["dies"].reason


def test_a_run_that_stays_lost_is_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tmp_path / "s.toml"
    study.write_text(TOML.format(steps=16, every=8))

    def lose(items: Any, task: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield items[0], Lost("its worker was lost: OSError: node gone", 3)
        for item in items[1:]:
            function, *arguments = task(item)
            yield item, function(*arguments)

    monkeypatch.setattr("masoft.studies.running.work_through", lose)
    answer = CliRunner().invoke(cli, ["study", str(study), "--out", str(tmp_path / "out"), "--no-progress"])
    assert answer.exit_code == 1
    assert "node gone (tried 3 times)" in answer.output
    assert len([*(tmp_path / "out").glob(f"*/{DONE}")]) == 2 and len([*(tmp_path / "out").glob(f"*/{FAILED}")]) == 1
    assert "node gone" in (tmp_path / "out" / "report.md").read_text()


def test_a_folder_that_workers_do_not_see_is_no_failed_run(tmp_path: Path) -> None:
    each = small().runs[0]
    outcome = execute(each, Order(tmp_path / "elsewhere", "lead", os.getpid()))
    assert outcome.status == "unshared" and not (tmp_path / "elsewhere").exists()


def test_a_study_on_workers_without_the_folder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(items: Any, task: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for item in items:
            _, each, told = task(item)
            yield item, execute(each, Order(Path(f"{told.study}-not-mounted"), told.mark, told.leader))

    monkeypatch.setattr("masoft.studies.running.work_through", far)
    with pytest.raises(ConfigurationError, match="seen by every worker.* Nothing was run there"):
        run(small(), tmp_path, progress_bar=False)
    assert not [*tmp_path.glob(f"*/{FAILED}")]


def test_relative_folders_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[Path] = []

    def moved(items: Any, task: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        monkeypatch.chdir("/")  # as a worker on a cluster has its own working folder
        for item in items:
            function, *arguments = task(item)
            seen.append(arguments[1].study)
            yield item, function(*arguments)

    monkeypatch.setattr("masoft.studies.running.work_through", moved)
    assert len(run(small(), "relative", progress_bar=False)["done"]) == 2
    assert seen == [tmp_path / "relative"] * 2


def test_a_run_that_another_process_does_is_waited_for(tmp_path: Path) -> None:
    each, told = small().runs[0], order(tmp_path)
    with FolderLock(told.work / f"{each.key}.lock", "The run"):
        assert execute(each, told).status == "busy"
    assert execute(each, told).status == "done"
    assert execute(each, told).status == "done" and not [*told.work.glob("*.part-*")]


def test_what_an_earlier_worker_left_is_no_part_of_the_result(tmp_path: Path) -> None:
    each, told = small().runs[0], order(tmp_path)
    left = told.work / f"{each.key}.part-0000"
    left.mkdir()
    (left / "evaluations.csv").write_text("timesteps,mean_return,std_return\n8,1.0,0.0\n8,1.0,0.0\n")
    (tmp_path / each.key).mkdir()
    (tmp_path / each.key / "evaluations.csv").write_text("timesteps,mean_return,std_return\n8,1.0,0.0\n")
    assert execute(each, told).status == "done"
    rows = read_table(tmp_path / each.key / "evaluations.csv")[1]
    assert [row["timesteps"] for row in rows] == ["8", "16"] and not left.exists()


def test_a_share_of_the_runs(tmp_path: Path) -> None:
    study = small(seeds=[0, 1, 2])
    found = [run(study, tmp_path, share=(i, 2), progress_bar=False)["done"] for i in (1, 2)]
    assert [len(keys) for keys in found] == [2, 1] and len({*found[0], *found[1]}) == 3
    with pytest.raises(ConfigurationError, match="share must be"):
        run(study, tmp_path, share=(3, 2))


def held_lock(path: Path) -> subprocess.Popen[str]:
    """A process of its own that has a lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = "import sys, time; from pathlib import Path; from masoft.files import FolderLock\n"
    code += "with FolderLock(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(100)"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_leftovers_are_done_by_whoever_is_free_but_not_what_somebody_is_at(tmp_path: Path) -> None:
    study = small(seeds=[0, 1, 2, 3])
    keys = [each.key for each in study.runs]
    alive, killed = (held_lock(tmp_path / WORK / f"{keys[k]}.lock") for k in (1, 3))
    killed.kill()
    killed.communicate()
    try:
        found = run(study, tmp_path, share=(1, 4), leftovers=True, progress_bar=False)
    finally:
        alive.kill()
        alive.communicate()
    assert found == {"done": [keys[0], keys[2], keys[3]], "failed": []}
    assert run(study, tmp_path, share=(1, 4), leftovers=True, progress_bar=False)["done"] == [keys[0], keys[1]]
    assert len(read_results(tmp_path)) == 8
    with pytest.raises(ConfigurationError, match="leftovers must be used in a folder on a disk"):
        run(study, "memory://bucket/study", leftovers=True, progress_bar=False)


@pytest.mark.slow
def test_two_workers_without_a_server_do_each_run_once(tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    file.write_text(TOML.format(steps=400, every=100).replace("[0, 1, 2]", "[0, 1, 2, 3, 4]"))
    both = [start(command(file, out, "--worker", f"{i}/2", "--leftovers")) for i in (1, 2)]
    for process in both:
        said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    serial = tmp_path / "serial"
    subprocess.run(command(file, serial), capture_output=True, check=True, timeout=240)
    assert read_results(out).equals(read_results(serial)) and len(read_results(out)) == 20


def test_a_stopped_run_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    study = small(seeds=[0], total_timesteps=400, eval_every=50)
    run(study, tmp_path / "whole", progress_bar=False)
    (tmp_path / "cut").mkdir()
    each, told = study.runs[0], order(tmp_path / "cut")

    calls = iter([False] * 4 + [True] * 1000)
    patched = pytest.MonkeyPatch()
    patched.setattr("masoft.studies.work.LOOK_SECONDS", 0.02)
    patched.setattr(Order, "is_over", lambda self: next(calls))
    assert execute(each, told).status == "stopped"
    assert [*told.work.glob("*.part-*/checkpoints/checkpoint-*.zip")]
    patched.undo()
    run(study, tmp_path / "cut", progress_bar=False)
    assert read_results(tmp_path / "whole").equals(read_results(tmp_path / "cut"))
    assert not (tmp_path / "cut" / WORK).exists() or not [*(tmp_path / "cut" / WORK).glob("*.part-*")]


@pytest.mark.slow
def test_a_leader_that_is_killed_leaves_orphans_that_end(tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    file.write_text(TOML.format(steps=2000, every=200))
    first = start(command(file, out, "--jobs", "2"))
    until(lambda: [*out.glob(f"{WORK}/*.part-*/evaluations.csv")], first)
    time.sleep(1)
    first.kill()
    first.wait()
    for pipe in (first.stdout, first.stderr):
        pipe.close()  # type: ignore[union-attr]
    second = start(command(file, out, "--jobs", "2"))
    _, printed = second.communicate(timeout=300)
    assert second.returncode == 0, printed
    steps = read_results(out).groupby("run")["timesteps"].apply(list)
    assert steps.tolist() == [[200 * k for k in range(1, 11)]] * 3


@pytest.mark.slow
def test_two_studies_in_one_folder(tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    file.write_text(TOML.format(steps=1000, every=100))
    both = [start(command(file, out)) for _ in range(2)]
    for each in both:
        _, printed = each.communicate(timeout=300)
        assert each.returncode == 0, printed
    assert read_results(out).groupby("run")["timesteps"].apply(list).tolist() == [[100 * k for k in range(1, 11)]] * 3


@pytest.mark.slow
def test_a_killed_worker_of_loky_costs_nothing(tmp_path: Path) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"
    file.write_text(TOML.format(steps=1500, every=500))
    process = start(command(file, out, "--jobs", "2"))
    until(lambda: [*out.glob(f"{WORK}/*.part-*/evaluations.csv")], process)
    holder = FolderLock(next(out.glob(f"{WORK}/*.lock")), "").holder()
    assert holder is not None and holder.process != process.pid
    os.kill(holder.process, signal.SIGKILL)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert len([*out.glob(f"*/{DONE}")]) == 3
