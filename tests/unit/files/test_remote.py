"""Runs, models and studies at URLs: what is there is whole at any moment, and one process at a time writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from click.testing import CliRunner

import masoft
from masoft.callbacks import CheckpointCallback
from masoft.cli import cli, main
from masoft.errors import ConfigurationError, FolderBusyError, MissingDependencyError, ModelFileError
from masoft.files import remote
from masoft.files.remote import WorkingCopy, is_url, local_folder
from masoft.studies import Study, Task, Variant, read_results, run
from masoft.studies.folder import is_read

SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=200, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)
FLAGS = ["--learning-starts", "16", "--batch-size", "8", "--policy-kwargs", '{"net_arch": [8]}', "--seed", "1"]
TRAIN = ["train", "hasac", "matrix/maxent", *FLAGS, "--no-progress", "--eval-episodes", "0"]
URL = "memory://bucket/run"


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty store, and no working copies."""
    found = fsspec.filesystem("memory")
    monkeypatch.setattr(found, "store", {})
    monkeypatch.setattr(type(found), "store", {})
    monkeypatch.setattr(type(found), "pseudo_dirs", [""])
    monkeypatch.setattr(remote, "_copies", {})
    yield found


@pytest.fixture
def as_new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(remote, "_copies", {})


def names(store: Any, url: str = URL) -> list[str]:
    """What is at a URL, hidden marks left out."""
    root = url.removeprefix("memory:/")
    return sorted(n for n in (path[len(root) + 1 :] for path in store.find(root)) if not n.startswith("."))


def command(*args: object) -> int:
    try:
        main([str(arg) for arg in args])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def weights(model: Any) -> list[torch.Tensor]:
    return [value.clone() for value in model.policy.state_dict().values()]


def test_a_model_and_its_rows_at_a_url(store: Any) -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL).learn(20)
    model.save("memory://bucket/team")
    assert names(store, "memory://bucket") == ["team.zip"]
    for name in ("memory://bucket/team", "memory://bucket/team.zip"):
        loaded = masoft.HASAC.load(name, device="cpu")
        assert all(map(torch.equal, weights(loaded), weights(model)))
    model.save_replay_buffer("memory://bucket/rows.zip")
    loaded.set_env(masoft.make_vec("matrix/maxent"))
    loaded.load_replay_buffer("memory://bucket/rows.zip")
    assert loaded.replay_buffer.size() == model.replay_buffer.size()
    with pytest.raises(ModelFileError, match="existing file.*memory://bucket/other"):
        masoft.HASAC.load("memory://bucket/other")


def test_what_is_no_url_of_an_object_store_is_refused() -> None:
    assert not is_url("runs/x") and not is_url("C:/runs") and not is_url(Path("runs"))
    model = masoft.HASAC("matrix/maxent", **SMALL).learn(1)
    with pytest.raises(ConfigurationError, match="text, and no pathlib.Path.*give the text 's3://bucket/x'"):
        model.save(Path("s3://bucket/x"))
    with pytest.raises(ConfigurationError, match="one of another machine.*Give the path"):
        model.save("file:///tmp/x.zip")
    with pytest.raises(ConfigurationError, match="fsspec knows.*Protocol not known"):
        model.save("nowhere://bucket/x")


@pytest.mark.parametrize(("url", "extra"), [("s3://bucket/x", "s3"), ("gs://bucket/x", "gcs")])
def test_a_missing_package_is_named_with_its_command(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(url: str) -> None:
        raise ImportError("Install it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(MissingDependencyError, match=rf'pip install "masoft\[{extra}\]"'):
        masoft.HASAC.resume(url)


def test_a_run_goes_on_from_a_url_bit_by_bit(store: Any, as_new_process: Callable[[], None]) -> None:
    whole = masoft.HASAC("matrix/maxent", **SMALL).learn(60)
    masoft.HASAC("matrix/maxent", **SMALL).learn(30, callback=CheckpointCallback(URL, 10))
    as_new_process()
    model = masoft.HASAC.resume(URL, env="matrix/maxent", device="cpu")
    assert model.num_timesteps == 30
    model.learn(30, reset_num_timesteps=False, callback=CheckpointCallback(URL, 10, keep_last=2))
    assert all(map(torch.equal, weights(model), weights(whole)))
    assert len([name for name in names(store) if name.endswith(".zip")]) == 2
    with pytest.raises(ConfigurationError, match="this run's own.*HASAC.resume\\('memory://bucket/run'"):
        whole.save_checkpoint(URL)
    as_new_process()
    with pytest.raises(ConfigurationError, match="this run's own"):
        whole.save_checkpoint(URL)


class Killed(BaseException):
    """The process ends here."""


def dying_at(call: int, monkeypatch: pytest.MonkeyPatch, store: Any) -> list[str]:
    """Let the store's n-th change be the one that does not happen any more."""
    done: list[str] = []

    def until_then(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any, **kwargs: Any) -> Any:
            if len(done) >= call:
                raise Killed
            done.append(change.__name__)
            return change(*args, **kwargs)

        return changed

    for name in ("put_file", "rm_file", "pipe_file"):
        monkeypatch.setattr(store, name, until_then(getattr(type(store), name).__get__(store)))
    monkeypatch.setattr(remote, "THREADS", 1)
    return done


def test_whoever_is_killed_between_two_writes_leaves_a_whole_checkpoint(
    store: Any, as_new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen = weights(masoft.HASAC("matrix/maxent", **SMALL).learn(40)), []
    for call in range(1, 100):
        with monkeypatch.context() as patch:
            done = dying_at(call, patch, store)
            try:
                masoft.HASAC("matrix/maxent", **SMALL).learn(30, callback=CheckpointCallback(URL, 10, keep_last=1))
                break
            except Killed:
                pass
        as_new_process()
        if any(name.endswith(".zip") for name in names(store)):
            model = masoft.HASAC.resume(URL, env="matrix/maxent", device="cpu")  # a warning would say: damaged
            seen.append(model.num_timesteps)
            model.learn(40 - model.num_timesteps, reset_num_timesteps=False, callback=CheckpointCallback(URL, 10))
            assert all(map(torch.equal, weights(model), whole))
        else:
            assert call <= 2 and "rm_file" not in done
        store.rm("/bucket", recursive=True)
        as_new_process()
    assert seen == sorted(seen) and set(seen) == {0, 10, 20, 30} and call > 10


def test_a_store_that_fails_costs_a_warning_and_the_next_one_sends_the_rest(
    store: Any, as_new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = type(store).put_file
    failures = iter([True, True, False, True])

    def failing(self: Any, *args: Any, **kwargs: Any) -> None:
        if next(failures, False):
            raise RuntimeError("no network")
        sent(self, *args, **kwargs)

    monkeypatch.setattr(type(store), "put_file", failing)
    model = masoft.HASAC("matrix/maxent", **SMALL)
    with pytest.warns(UserWarning, match="No checkpoint at step .*no network.*stays in"):
        model.learn(30, callback=CheckpointCallback(URL, 10))
    as_new_process()
    assert masoft.HASAC.resume(URL, env="matrix/maxent", device="cpu").num_timesteps == 30


def test_the_last_one_who_begins_is_the_one_who_writes(as_new_process: Callable[[], None]) -> None:
    first = masoft.HASAC("matrix/maxent", **SMALL).learn(10)
    first.save_checkpoint(URL)
    copies = dict(remote._copies)
    as_new_process()
    second = masoft.HASAC.resume(URL, env="matrix/maxent", device="cpu")
    third = dict(remote._copies)
    second.learn(5, reset_num_timesteps=False).save_checkpoint(URL)
    remote._copies.update(copies)
    with pytest.raises(FolderBusyError, match="memory://bucket/run must be this process's own.*taken over by process"):
        first.save_checkpoint(URL)
    remote._copies.update(third)
    second.save_checkpoint(URL)


def test_who_has_read_an_old_state_may_not_write(as_new_process: Callable[[], None]) -> None:
    first = masoft.HASAC("matrix/maxent", **SMALL).learn(10)
    first.save_checkpoint(URL)
    copies = dict(remote._copies)
    as_new_process()
    late = masoft.HASAC.resume(URL, env="matrix/maxent", device="cpu")
    others = dict(remote._copies)
    remote._copies.update(copies)
    first.learn(5, reset_num_timesteps=False).save_checkpoint(URL)
    copy = others[URL]
    with pytest.raises(FolderBusyError, match="as it was read.*changed by process"):
        copy.own()
    assert late.num_timesteps == 10


def test_names_that_leave_the_folder_are_not_followed(store: Any, tmp_path: Path) -> None:
    for name in ("good.txt", "../evil.txt", "a/../../evil.txt", ".hidden/x", "a\\b"):
        store.store[f"/bucket/run/{name}"] = type(store).store.setdefault(
            f"/bucket/run/{name}", fsspec.implementations.memory.MemoryFile(store, f"/bucket/run/{name}", b"x")
        )
    copy = WorkingCopy(URL, tmp_path / "in")
    copy.fetch()
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "good.txt"]


def test_masoft_train_at_a_url(store: Any, capsys: pytest.CaptureFixture[str], as_new_process: Any) -> None:
    begin = [*TRAIN, "--total-timesteps", 60, "--checkpoint-every", 20, "--out", URL]
    assert command(*begin) == 0
    said = capsys.readouterr().out
    assert f"Saved {URL}/model.zip" in said and f"masoft enjoy {URL}" in said and "/masoft-" not in said
    assert {"model.zip", "run.json", "outcome.json", "progress.csv"} <= set(names(store))
    as_new_process()
    assert command(*begin) == 2
    assert "a folder without a run in it" in capsys.readouterr().err
    assert command(*begin, "--resume-or-start") == 0
    as_new_process()
    assert command("train", "--resume", URL, "--extend", 20, "--no-progress", "--eval-episodes", 0) == 0
    as_new_process()
    assert command("evaluate", URL, "--episodes", 2, "--json") == 0
    assert f'"folder": "{URL}"' in capsys.readouterr().out
    as_new_process()
    assert command("report", URL) == 0
    assert "report.html" in names(store)
    as_new_process()
    assert command("report", URL, "--out", "s3://bucket/x") == 2
    assert "is a URL; here only a path will do" in capsys.readouterr().err
    assert command(*begin, "--overwrite") == 0
    assert masoft.HASAC.resume(URL, env="matrix/maxent", device="cpu").num_timesteps == 60


def small(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "algorithms": [Variant("HASAC", "soft", SMALL_RUN)], "environments": [Task("matrix/maxent")],
        "seeds": [0, 1], "total_timesteps": 16, "eval_every": 8, "eval_episodes": 2,
    }  # fmt: skip
    return Study(**{**values, **changes})


SMALL_RUN = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 4, "learning_starts": 8, "buffer_size": 64}


def test_a_study_at_a_url_is_the_study_on_a_disk(store: Any, tmp_path: Path, as_new_process: Any) -> None:
    url = "memory://bucket/study"
    outcome = run(small(), tmp_path, progress_bar=False)
    for share in ((1, 2), (2, 2)):  # two machines
        as_new_process()
        run(small(), url, share=share, progress_bar=False)
    as_new_process()
    assert run(small(), url, progress_bar=False) == outcome
    there = read_results(local_folder(url, is_read))
    assert there.equals(read_results(tmp_path)) and len(there) == 4
    assert not any(path.startswith("/bucket/study/.work") for path in store.find("/bucket/study"))


def test_a_study_at_a_url_goes_on_from_its_checkpoint(
    store: Any, tmp_path: Path, as_new_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, long = "memory://bucket/study", small(seeds=[3], total_timesteps=60, eval_every=20)
    monkeypatch.setattr("masoft.studies.work.LEAST_CHECKPOINT_STEPS", 1)
    with monkeypatch.context() as patch:
        dying_at(25, patch, store)
        with pytest.raises(Killed):
            run(long, url, progress_bar=False)
    begun = [path for path in store.find("/bucket/study/.work") if "checkpoint-" in path]
    assert begun
    as_new_process()
    stepped: list[int] = []
    learn = masoft.HASAC.learn
    monkeypatch.setattr(
        masoft.HASAC, "learn", lambda self, steps, **more: (stepped.append(steps), learn(self, steps, **more))[1]
    )
    run(long, url, progress_bar=False)
    assert len(stepped) == 1 and 0 < stepped[0] < 60
    run(long, tmp_path, progress_bar=False)
    assert read_results(local_folder(url, is_read)).equals(read_results(tmp_path))


def test_workers_that_do_not_see_the_working_copy_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="share=\\(i, n\\), or --worker i/n"):
        run(small(), "memory://bucket/study", backend="ray", progress_bar=False)
    with pytest.raises(ConfigurationError, match="do not see this one's memory"):
        run(small(), "memory://bucket/study", n_jobs=2, progress_bar=False)


def test_masoft_study_at_a_url(store: Any, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(
        'seeds = [0]\ntotal_timesteps = 16\neval_every = 8\neval_episodes = 2\nenvironments = ["matrix/maxent"]\n'
        '[[algorithms]]\nalgorithm = "HASAC"\nparameters = {learning_starts = 8, batch_size = 4}\n'
    )
    done = CliRunner().invoke(cli, ["study", str(file), "--out", "memory://bucket/study", "--no-progress"])
    assert done.exit_code == 0, done.output
    assert "Next: masoft plot memory://bucket/study" in done.output
    assert {"study.json", "results.csv"} <= set(names(store, "memory://bucket/study"))
