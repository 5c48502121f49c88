"""Environment ids: lookup, messages, own registrations, lazy imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from toy_teams import Toy

from masoft.envs import find, make, register, registered, single_agent
from masoft.envs.registry import Registration
from masoft.errors import ConfigurationError, MissingDependencyError


def test_the_catalogue_is_sorted_and_knows_extras():
    entries = {entry.id: entry for entry in registered()}
    assert list(entries) == sorted(entries)
    assert entries["mamujoco/Ant-4x2"].extra == "mamujoco" and entries["mpe/simple_spread_v3"].extra is None
    assert entries["matrix/maxent"].is_installed and entries["matrix/maxent"].missing == ()


def test_unknown_id_lists_the_nearest():
    with pytest.raises(ConfigurationError, match="Got 'mamujoco/Ant4x2'. Did you mean 'mamujoco/Ant-4x2'"):
        make("mamujoco/Ant4x2")


def test_register_and_make():
    register("mine/toy", Toy, kwargs={"length": 5})
    assert make("mine/toy").length == 5 and make("mine/toy", length=7).length == 7
    register("mine/by-name", "toy_teams:Toy", extra="mpe")
    assert isinstance(make("mine/by-name"), Toy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("matrix/maxent", Toy), "An environment id must be new"),
        (("", Toy), "a non-empty string"),
        (("mine/x", "toy_teams.Toy"), "'module:function'"),
    ],
)
def test_registrations_that_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        register(*arguments)


def test_missing_package_names_the_command():
    entry = Registration("x/y", "no_such_package.adapter:make", extra="football", requires=("no_such_package",))
    assert entry.missing == ("no_such_package",) and not entry.is_installed
    with pytest.raises(MissingDependencyError, match=r"no_such_package. Run: pip install \"masoft\[football\]\""):
        entry.build()
    with pytest.raises(MissingDependencyError, match=r"masoft\[football\]"):
        Registration("x/y", "no_such_package.adapter:make", extra="football").build()
    assert Registration("x/y", Toy, requires=("mpe2",)).install_command == "pip install mpe2"


def test_gymnasium_ids_are_teams_of_one():
    env = make("Pendulum-v1")
    assert env.possible_agents == [single_agent.AGENT] and find("Pendulum-v1").kwargs == {"id": "Pendulum-v1"}
    with pytest.raises(NotImplementedError):
        env.state()


def test_listing_ids_imports_neither_torch_nor_simulators():
    code = (
        "import sys, masoft.envs as envs; envs.registered(); [entry.is_installed for entry in envs.registered()];"
        "print([name for name in ('torch', 'mujoco', 'mpe2', 'pygame') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
