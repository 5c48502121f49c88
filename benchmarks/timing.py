"""Timing beside a yardstick: what a piece of work costs in matrix products done in the same moment.

A processor that others use too is now fast, now slow, but a matrix product slows down with it: the ratio is what can be
compared between runs and machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

GEMM_ROWS, GEMM_SIZE, GEMM_REPEATS = 1000, 256, 4


@dataclass(frozen=True)
class Timing:
    """What one piece of work costs, medians over rounds.

    Args:
        ms: milliseconds of processor time.
        gemms: the same in products of a (1000, 256) and a (256, 256) float32 matrix.
        gemm_ms: milliseconds of one such product.
    """

    ms: float
    gemms: float
    gemm_ms: float


def measure(
    work: Callable[[], object], rounds: int = 20, repeats: int = 1, apart: Callable[[], float] = lambda: 0.0
) -> Timing:
    """Time a piece of work, and the yardstick before each round.

    Args:
        work: called ``repeats`` times a round.
        rounds: how many rounds; the first of all is left out.
        repeats: calls a round, more for quick work.
        apart: a clock of seconds spent within the work that do not count.
    """
    left, right = torch.ones(GEMM_ROWS, GEMM_SIZE), torch.ones(GEMM_SIZE, GEMM_SIZE)
    seconds, yardsticks = [], []
    work()
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(GEMM_REPEATS):
            torch.mm(left, right)
        middle, apart_before = time.process_time(), apart()
        for _ in range(repeats):
            work()
        yardsticks.append((middle - start) / GEMM_REPEATS)
        seconds.append((time.process_time() - middle - (apart() - apart_before)) / repeats)
    ratios = np.array(seconds) / np.maximum(np.array(yardsticks), 1e-6)
    return Timing(float(np.median(seconds)) * 1e3, float(np.median(ratios)), float(np.median(yardsticks)) * 1e3)
