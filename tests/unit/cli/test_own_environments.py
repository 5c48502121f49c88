"""``module:Class`` on the command line: every command takes it, and none imports what a file names without consent."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shell import SMALL, run

import masoft
from masoft.envs import find, imports_own_code
from masoft.errors import ConfigurationError, nearest
from masoft.runs.settings import RunSettings

Capture = pytest.CaptureFixture[str]
Own = Callable[..., str]


def test_every_command_takes_a_class_of_the_users_own(own: Own, tmp_path: Path, capsys: Capture) -> None:
    module = own()
    train = ["train", "hasac", f"{module}:Line", "-e", "length=4", "--total-timesteps", 40, "--out", "r", *SMALL]
    assert run(*train, "--eval-every", 20, "--eval-episodes", 2) == 0
    assert RunSettings.load(tmp_path / "r").env == f"{module}:Line"
    assert "masoft enjoy r --trusted" in capsys.readouterr().out
    assert run("export", "r") == 0
    for command in (
        ["evaluate", "r", "--episodes", 2],
        ["train", "--resume", "r", "--no-progress", "--extend", 10],
        ["enjoy", "r", "--out", "r/x.gif", "--panel"],
        ["plot", "r", "--kind", "episode"],
    ):
        del sys.modules[module]
        capsys.readouterr()
        assert run(*command) == 2, command
        printed = capsys.readouterr().err
        assert f"Got '{module}:Line'" in printed and "--trusted" in printed and printed.count("\n") == 1
        assert module not in sys.modules
        assert run(*command, "--trusted") == 0, capsys.readouterr().err
        assert module in sys.modules


def test_a_function_trains_in_processes_of_its_own_too(own: Own) -> None:
    module = own()
    command = ["train", "hasac", f"{module}:short_line", "--total-timesteps", 20, "--n-envs", 2, *SMALL]
    assert run(*command, "--backend", "subproc", "--eval-episodes", 1, "--out", "r") == 0


def test_a_study_asks_before_it_imports(own: Own, tmp_path: Path, capsys: Capture) -> None:
    module = own()
    Path("s.toml").write_text(
        f'seeds = [0]\ntotal_timesteps = 20\neval_episodes = 1\nenvironments = ["{module}:Line"]\n'
        'algorithms = [{algorithm = "HASAC", parameters = {learning_starts = 8, batch_size = 4}}]\n'
    )
    assert run("study", "s.toml", "--no-progress") == 2
    assert "--trusted" in capsys.readouterr().err and module not in sys.modules and not Path("runs").exists()
    assert run("study", "s.toml", "--trusted", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["done"]) == 1


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("nowhere_at_all:Env", "there is no 'nowhere_at_all'"),
        ("nowhere_at_all.deeper:Env", "there is no 'nowhere_at_all'"),
        ("{module}:Lin", "Did you mean 'Line'?"),
        ("{module}:np", "must be a class or function of module"),
        ("mpe/simple_spred", "Did you mean 'mpe/simple_spread_v3'"),
        ("ant", "Did you mean 'mamujoco/Ant-2x4' or 'mamujoco/Ant-4x2' or 'mamujoco/Ant-8x1'? See `masoft envs`."),
        ("hopper-v9", "See `masoft envs`."),
    ],
)
def test_what_cannot_be_found_is_one_short_line(id: str, message: str, own: Own, capsys: Capture) -> None:
    command = ["train", "hasac", id.format(module=own()), "--total-timesteps", 9, *SMALL]
    assert run(*command) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1 and len(printed) < 500


@pytest.mark.parametrize("text", ["1 / 0", "import nothing_like_it", "import sys\nsys.nothing"])
def test_a_module_that_fails_is_named_with_its_own_words(text: str, own: Own, capsys: Capture) -> None:
    module = own(text)
    assert run("train", "hasac", f"{module}:Line", "--total-timesteps", 9) == 2
    printed = capsys.readouterr().err
    assert f"The module of environment '{module}:Line' cannot be imported" in printed and printed.count("\n") == 1


def test_arguments_that_an_environment_does_not_take(own: Own, capsys: Capture) -> None:
    module = own()
    assert run("train", "hasac", f"{module}:Line", "-e", "lenght=3", "--total-timesteps", 9) == 2
    assert "Did you mean 'length'" in capsys.readouterr().err
    assert run("train", "hasac", "mpe/simple_spread_v3", "-e", "foo=1", "--total-timesteps", 9) == 2
    printed = capsys.readouterr().err
    assert "'mpe/simple_spread_v3' could not be made with foo=1" in printed and printed.count("\n") == 1


def test_python_takes_the_same_ids(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    module = own()
    monkeypatch.syspath_prepend(".")
    assert masoft.make(f"{module}:Line", length=2).length == 2
    assert masoft.make_vec(f"{module}:short_line", n_envs=2, seed=0).num_envs == 2
    with pytest.raises(ConfigurationError, match="there is no"):
        find("nowhere_at_all:Env")


def test_only_ids_of_ones_own_import_code() -> None:
    assert imports_own_code("a.b:C") and imports_own_code("mod:Env-v0")
    assert not any(map(imports_own_code, ("mpe/simple_spread_v3", "Pendulum-v1", "x", "a/b:c", "1:2")))


def test_long_lists_of_names_are_cut() -> None:
    names = [f"family/name-{i}" for i in range(30)]
    assert nearest("xyz", names).count("family") == 3 and nearest("NAME-7", names).startswith(
        "Did you mean 'family/name-7'"
    )
    assert nearest("xyz", names[:3]) == "Known: family/name-0, family/name-1, family/name-2."
