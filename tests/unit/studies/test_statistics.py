"""Statistics against numbers worked out by hand, and intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from masoft.errors import ConfigurationError
from masoft.studies import iqm, performance_profile, probability_of_improvement


def test_interquartile_mean_ignores_the_outer_quarters() -> None:
    assert iqm({"a": np.array([0.0, 1, 2, 90])}).value == 1.5
    assert iqm({"a": np.array([-90.0, 3]), "b": np.array([5.0, 1000])}).value == 4.0


def test_one_seed_has_no_interval() -> None:
    estimate = iqm({"a": np.array([3.0])})
    assert estimate.value == 3.0 and math.isnan(estimate.low) and math.isnan(estimate.high)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    estimates = [iqm({"a": rng.normal(size=12), "b": rng.normal(size=12)}, resamples=200) for _ in range(150)]
    covered = np.mean([each.low <= 0 <= each.high for each in estimates])
    assert 0.85 < covered < 0.99


def test_strata_are_drawn_apart() -> None:
    # Were runs drawn across environments, the interval would not be a point.
    estimate = iqm({"a": np.zeros(4), "b": np.ones(4)}, resamples=100)
    assert estimate.low == estimate.value == estimate.high == 0.5


def test_same_numbers_each_time() -> None:
    scores = {"a": np.array([0.0, 2, 3, 7, 9])}
    assert iqm(scores, resamples=50) == iqm(scores, resamples=50)


def test_probability_of_improvement() -> None:
    low, high = {"a": np.array([0.0, 1, 2])}, {"a": np.array([3.0, 4])}
    assert probability_of_improvement(high, low).value == 1.0
    assert probability_of_improvement(low, low).value == 0.5
    mine, theirs = {"a": np.array([1.0, 5])}, {"a": np.array([1.0, 2])}
    assert probability_of_improvement(mine, theirs).value == (0.5 + 0 + 1 + 1) / 4
    with pytest.raises(ConfigurationError, match="Both algorithms"):
        probability_of_improvement(low, {"b": np.zeros(2)})


def test_performance_profile_falls() -> None:
    shares = performance_profile({"a": np.array([0.1, 0.5]), "b": np.array([0.7, 0.9])}, [0.0, 0.5, 0.8, 1.0])
    assert [each.value for each in shares] == [1.0, 0.5, 0.25, 0.0]
    assert all(each.low <= each.value <= each.high for each in shares)
