from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masoft.errors import ConfigurationError
from masoft.validation import (
    Callable,
    Every,
    Instance,
    Integer,
    MappingOf,
    Nothing,
    OneOf,
    Pattern,
    Real,
    check_names,
    check_parameters,
)


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (Real(0, 1), [0, 1, 0.5, np.float32(0.5)], [-0.1, 1.1, math.nan, math.inf, True, "0.5", None]),
        (Real(0, 1, open_low=True, open_high=True), [0.5], [0, 1]),
        (Real(), [-1e9, 7], [math.inf, -math.inf, math.nan]),
        (Integer(1), [1, 10**9, np.int64(3)], [0, 1.0, True, "1", None]),
        (Integer(1, 3), [1, 3], [4]),
        (OneOf(("a", 1, None)), ["a", 1, None], ["b", True, 1.0]),
        (Instance((int, str)), [1, "x"], [1.5, None]),
        (Callable(), [len, lambda: 0], [3, "len"]),
        (Pattern("auto"), ["auto", "auto_0.2", "auto_1e-3"], ["auto_", "auto_0", "auto_-1", "auto_x", "auto_inf", 1]),
        (Every(("step", "episode")), [(1, "step"), (9, "episode")], [(0, "step"), (1,), (1, "x"), [1, "step"], 1]),
        (Nothing(), [None], [0, False, ""]),
        (MappingOf(("a", "b"), (Integer(0),)), [{}, {"a": 1}, {"a": 0, "b": 2}], [{"c": 1}, {"a": -1}, [("a", 1)]]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_constraints_accept_and_refuse(constraint: object, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not constraint.accepts(value)] == []  # type: ignore[attr-defined]
    assert [value for value in bad if constraint.accepts(value)] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (Real(0, 1), "a number in [0, 1]"),
        (Real(0, open_low=True), "a number in (0, inf)"),
        (Integer(1), "an integer >= 1"),
        (Integer(1, 20), "an integer from 1 to 20"),
        (OneOf(("sum", "mean")), "one of 'sum', 'mean'"),
        (Instance((dict,)), "a dict"),
        (Instance((dict,), "a Drift"), "a Drift"),
        (Callable("a schedule"), "a schedule"),
        (Pattern("auto"), "'auto' or 'auto_x' with a number x > 0"),
        (Nothing(), "None"),
        (MappingOf(("a",), (Integer(0),)), "a dict with keys among 'a' and each value an integer >= 0"),
    ],
)
def test_constraints_describe_themselves(constraint: object, words: str) -> None:
    assert constraint.describe() == words  # type: ignore[attr-defined]


@given(low=st.floats(-100, 100), width=st.floats(0, 100), value=st.floats(-300, 300))
def test_a_closed_interval_is_what_it_says(low: float, width: float, value: float) -> None:
    assert Real(low, low + width).accepts(value) == (low <= value <= low + width)


def test_check_parameters_joins_alternatives_and_names_the_parameter() -> None:
    constraints = {"ent_coef": (Real(0), Pattern("auto"))}
    check_parameters("HASAC", constraints, {"ent_coef": "auto_0.5", "other": object()})
    check_parameters("HASAC", constraints, {})
    with pytest.raises(ConfigurationError) as caught:
        check_parameters("HASAC", constraints, {"ent_coef": -1})
    assert str(caught.value) == (
        "The 'ent_coef' parameter of HASAC must be a number in [0, inf) or 'auto' or 'auto_x' with a number x > 0. "
        "Got -1."
    )


def test_check_names_refuses_with_the_nearest_name() -> None:
    check_names("HASAC", ["gamma"], ["gamma", "tau"])
    with pytest.raises(TypeError, match=r"HASAC has no parameter 'gama'\. Did you mean 'gamma'\?"):
        check_names("HASAC", ["gama"], ["gamma", "tau"])
