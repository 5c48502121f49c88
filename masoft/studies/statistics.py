"""Statistics for few seeds: interquartile means with stratified bootstrap intervals, and comparisons of algorithms.

All of it is scipy's; a stratum is an environment, and its runs are drawn anew with replacement.

Reference:
    Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from masoft.errors import ConfigurationError, MissingDependencyError, explain

TRIM = 0.25


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Args:
        value: of the sample.
        low, high: ends of the bootstrap interval; NaN where a stratum has fewer than two runs.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def iqm(scores: Mapping[str, np.ndarray], *, confidence: float = 0.95, resamples: int = 2_000) -> Estimate:
    """Interquartile mean over all runs of all environments: the mean of the middle half.

    Args:
        scores: environment -> (n_runs,); on one scale where there are several.
        confidence: of the interval, in (0, 1).
        resamples: bootstrap samples, >= 1.

    Example:
        >>> import numpy as np
        >>> from masoft.studies import iqm
        >>> iqm({"task": np.array([0.0, 1.0, 2.0, 90.0])}).value
        1.5
    """
    stats = _stats()
    return bootstrap(
        [*scores.values()],
        lambda *parts, axis=-1: stats.trim_mean(np.concatenate(parts, axis=axis), TRIM, axis=axis),
        confidence,
        resamples,
    )


def probability_of_improvement(
    mine: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
) -> Estimate:
    """How likely a run of one algorithm beats one of another in an environment drawn at random; ties count half.

    It is Mann and Whitney's U over the number of pairs, averaged over environments.

    Args:
        mine, theirs: environment -> (n_runs,), the same environments.
        confidence, resamples: as in `iqm`.

    Raises:
        ConfigurationError: different environments.
    """
    if set(mine) != set(theirs):
        raise ConfigurationError(explain("Both algorithms", f"run in {sorted(mine)}", sorted(theirs)))
    n, stats = len(mine), _stats()

    def statistic(*parts: Any, axis: int = -1) -> Any:
        wins = [
            stats.mannwhitneyu(x, y, axis=axis, method="asymptotic").statistic / (x.shape[axis] * y.shape[axis])
            for x, y in zip(parts[:n], parts[n:], strict=True)
        ]
        return np.mean(wins, axis=0)

    return bootstrap([*mine.values(), *(theirs[name] for name in mine)], statistic, confidence, resamples)


def performance_profile(
    scores: Mapping[str, np.ndarray],
    thresholds: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
) -> tuple[Estimate, ...]:
    """Share of runs above each threshold.

    Args:
        scores: environment -> (n_runs,), on one scale.
        thresholds: on that scale.
        confidence, resamples: as in `iqm`.
    """

    def above(threshold: float) -> Callable[..., Any]:
        return lambda *parts, axis=-1: (np.concatenate(parts, axis=axis) > threshold).mean(axis=axis)

    return tuple(bootstrap([*scores.values()], above(each), confidence, resamples) for each in thresholds)


def bootstrap(
    strata: list[np.ndarray], statistic: Callable[..., Any], confidence: float = 0.95, resamples: int = 2_000
) -> Estimate:
    """A statistic of all strata with its percentile interval; the same numbers on each call."""
    strata = [np.asarray(each, float) for each in strata]
    value = float(statistic(*strata, axis=-1))
    if min(len(each) for each in strata) < 2:
        return Estimate(value, float("nan"), float("nan"))
    found = _stats().bootstrap(
        strata,
        statistic,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        vectorized=True,
        random_state=np.random.default_rng(0),
    )
    return Estimate(value, float(found.confidence_interval.low), float(found.confidence_interval.high))


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise MissingDependencyError('Statistics need scipy. pip install "masoft[studies]"') from None
    return stats
