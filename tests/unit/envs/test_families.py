"""The families of the catalogue: what they are called, what installs them, and what other packages are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from masoft.envs import make, registered
from masoft.envs.catalogue import BROKEN, CATALOGUE, Entry
from masoft.envs.registry import Registration
from masoft.errors import ConfigurationError, MissingDependencyError
from masoft.presets import list_presets, preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Family -> an id of it, and the package that its extra installs.
FAMILIES = {
    "lbf": ("lbf/Foraging-8x8-2p-3f", "lbforaging"),
    "rware": ("rware/tiny-2ag", "rware"),
    "sisl": ("sisl/multiwalker", "pettingzoo[sisl]"),
    "butterfly": ("butterfly/cooperative_pong", "pettingzoo[butterfly]"),
    "magent2": ("magent2/battle", "magent2"),
    "momaland": ("momaland/item_gathering", "momaland"),
    "overcooked": ("overcooked/cramped_room", "jaxmarl"),
    "camar": ("camar/random_grid", "camar"),
}


def registration(entry: Entry, **changes: object) -> Registration:
    return Registration(**{**vars(entry), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_names_the_extra_that_pip_can_install(family: str) -> None:
    id, package = FAMILIES[family]
    entry = next(entry for entry in registered() if entry.id == id)
    assert entry.install_command == f'pip install "masoft[{family}]"'
    assert any(line.startswith(f"{package}>=") for line in PROJECT["optional-dependencies"][family])
    others = [entry for entry in registered() if entry.id.startswith(f"{family}/")]
    assert {entry.extra for entry in others} == {family} and all(entry.requires for entry in others)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_package_is_an_error_with_the_install_line(family: str) -> None:
    entry = next(entry for entry in CATALOGUE if entry.id == FAMILIES[family][0])
    absent = registration(entry, requires=("no_such_simulator",))
    with pytest.raises(MissingDependencyError) as caught:
        absent.build()
    assert str(caught.value).endswith(f'not installed: no_such_simulator. Run: pip install "masoft[{family}]"')


def test_every_entry_names_a_function_that_is_there() -> None:
    """Adapters import their simulators when they are called, so that each can be found without them."""
    from masoft.envs.registry import _load

    for entry in CATALOGUE:
        if entry.id.partition("/")[0] in FAMILIES:
            assert callable(_load(entry.entry_point))
            assert entry.vector_entry_point is None or callable(_load(entry.vector_entry_point))


def test_waterworld_needs_the_last_pettingzoo_that_has_it() -> None:
    entry = next(entry for entry in registered() if entry.id == "sisl/waterworld")
    assert entry.install_command == 'pip install "pettingzoo==1.25.0" "pymunk<7" pygame-ce scipy'
    if "pettingzoo.sisl.waterworld" in entry.missing:
        with pytest.raises(MissingDependencyError, match=r"pettingzoo\.sisl\.waterworld.*or another version of it"):
            make("sisl/waterworld")


def test_a_part_of_a_part_is_looked_for() -> None:
    has = Registration("x/y", "x:y", requires=("pettingzoo.utils.wrappers", "pettingzoo.utils.conversions"))
    assert has.missing == ()
    assert Registration("x/y", "x:y", requires=("pettingzoo.utils.no_such",)).missing == ("pettingzoo.utils.no_such",)


@pytest.mark.parametrize(
    ("id", "why", "instead"),
    [
        ("overcooked_ai/cramped_room", "numpy below 2", "overcooked/cramped_room"),
        ("overcooked-ai/cramped_room", "numpy below 2", "overcooked/cramped_room"),
        ("pogema/Pogema-v0", "pydantic below 2", "camar/random_grid"),
    ],
)
def test_packages_that_do_not_run_here_are_refused_with_what_to_use(id: str, why: str, instead: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        make(id)
    assert instead in str(caught.value) and instead in {entry.id for entry in CATALOGUE}
    assert set(BROKEN) == {"overcooked_ai", "pogema"}


def test_every_family_has_a_preset_of_our_own_that_says_so() -> None:
    ids = {entry.id for entry in CATALOGUE}
    own = [entry for entry in list_presets() if entry.variants == ("own",)]
    assert {entry.name.partition("/")[0] for entry in own} == {*FAMILIES, "smax"}
    for entry in own:
        found = preset(entry.algorithm, entry.name)
        assert found.env in ids and found.variant == "own" and found.full_name == entry.name
        assert all(source.startswith("our own settings") for source in found.sources.values())
