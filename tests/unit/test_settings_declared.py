"""A setting is declared in one line: signature, range, attribute, change and default follow from it."""

from __future__ import annotations

import inspect
from dataclasses import InitVar
from typing import Annotated, Any, get_type_hints

import pytest

import masoft
from masoft.errors import ConfigurationError
from masoft.settings import Felt, Fixed, positional, settings, settings_of
from masoft.validation import Integer, Nothing, Real


@settings
class Base:
    """Of everybody."""

    where: InitVar[Annotated[Any, ()]] = positional(default=None, kw_only=False)
    rate: Annotated[float, Real(0, 1), Felt("_feel")] = 0.5
    size: Annotated[int | None, (Integer(1), Nothing()), Fixed("Make a new one.")] = None
    plain: int = 3


@settings
class More(Base):
    """With one of its own."""

    own: Annotated[int, Integer(0)] = 7


class Changed(More):
    """With another default."""

    rate = 0.25


def test_what_a_line_declares() -> None:
    found = settings_of(More)
    assert list(found) == ["where", "own", "rate", "size"]
    assert (found["rate"].type, found["rate"].ranges, found["rate"].felt_by) == ("float", (Real(0, 1),), "_feel")
    assert (found["size"].type, found["size"].instead) == ("int | None", "Make a new one.")
    assert found["where"].is_positional and found["where"].ranges == () and not hasattr(Base, "where")
    assert Base.rate == 0.5


def test_a_subclass_changes_a_default_by_an_attribute() -> None:
    assert settings_of(Changed)["rate"].default == 0.25
    assert settings_of(More)["rate"].default == 0.5


def test_a_setting_needs_a_default() -> None:
    with pytest.raises(TypeError, match="'lone' of Lonely must have a default"):

        @settings
        class Lonely:
            lone: Annotated[int, Integer(0)]


@settings
class WeighedSettings:
    """Of an algorithm of one's own."""

    my_weight: Annotated[float, Real(0, 1)] = 0.5


class Weighed(WeighedSettings, masoft.HASAC):
    """HASAC with a setting of its own and another discount."""

    gamma = 0.5


def test_an_algorithm_of_ones_own_takes_its_setting(tmp_path: Any) -> None:
    signature = inspect.signature(Weighed)
    assert signature.parameters["my_weight"].default == 0.5 and signature.parameters["gamma"].default == 0.5
    with pytest.raises(ConfigurationError, match="'my_weight' parameter of Weighed must be a number in"):
        Weighed("matrix/maxent", my_weight=2.0)
    model = Weighed("matrix/maxent", my_weight=0.25, learning_starts=8, batch_size=8, seed=0).learn(20)
    assert (model.my_weight, model.gamma, model.replay_buffer.gamma) == (0.25, 0.5, 0.5)
    model.my_weight = 0.75
    assert model.get_params()["my_weight"] == 0.75 and "my_weight=0.75" in repr(model)
    with pytest.raises(ConfigurationError, match="my_weight"):
        model.my_weight = -1.0
    model.save(tmp_path / "team.zip")
    assert Weighed.load(tmp_path / "team.zip").my_weight == 0.75


def test_an_order_that_asks_for_improvements_is_refused_by_methods_without_them() -> None:
    with pytest.raises(ConfigurationError, match="'order' parameter of HATD3 must be an update order that needs no"):
        masoft.HATD3("matrix/maxent", order=masoft.A2PO.order)
    model = masoft.HAD3QN("matrix/maxent", seed=0)
    with pytest.raises(ConfigurationError, match="needs no expected improvements"):
        model.order = masoft.A2PO.order


def test_python_3_10_is_asked_about_no_init_var(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ``get_type_hints`` takes InitVar for no type."""
    seen: list[str] = []

    def as_in_3_10(cls: type, **options: Any) -> Any:
        seen.extend(cls.__annotations__.values())
        return get_type_hints(cls, **options)

    monkeypatch.setattr("masoft.settings.get_type_hints", as_in_3_10)

    @settings
    class Mine:
        size: InitVar[Annotated[int, Integer(1)]] = 3

    assert seen and not any("InitVar" in annotation for annotation in seen)
    assert settings_of(Mine)["size"].default == 3 and not hasattr(Mine, "size")
