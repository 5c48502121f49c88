"""Mirror learning as objects: drifts, neighborhoods, update orders and the ways to seek the argmax."""

from masoft.mirror.change import PolicyChange
from masoft.mirror.correction import CoordinatedRatio, Correction, SequentialRatio
from masoft.mirror.drift import (
    ClipDrift,
    Drift,
    KLDrift,
    NoDrift,
    ScaledDrift,
    SquaredRatioDrift,
    SumDrift,
    TotalVariationDrift,
    WassersteinDrift,
)
from masoft.mirror.improver import GradientSteps, Improvement, Improver, NaturalGradient
from masoft.mirror.neighborhood import (
    Everywhere,
    Intersection,
    KLBall,
    Neighborhood,
    ParameterBall,
    StatewiseNeighborhood,
    TotalVariationBall,
)
from masoft.mirror.order import FixedOrder, Greedy, Order, RandomPermutation, Simultaneous
from masoft.mirror.schedule import Linear, Schedulable
from masoft.mirror.semi_greedy import SemiGreedy

__all__ = [
    "ClipDrift",
    "CoordinatedRatio",
    "Correction",
    "Drift",
    "Everywhere",
    "FixedOrder",
    "GradientSteps",
    "Greedy",
    "Improvement",
    "Improver",
    "Intersection",
    "KLBall",
    "KLDrift",
    "Linear",
    "NaturalGradient",
    "Neighborhood",
    "NoDrift",
    "Order",
    "ParameterBall",
    "PolicyChange",
    "RandomPermutation",
    "ScaledDrift",
    "Schedulable",
    "SemiGreedy",
    "SequentialRatio",
    "Simultaneous",
    "SquaredRatioDrift",
    "StatewiseNeighborhood",
    "SumDrift",
    "TotalVariationBall",
    "TotalVariationDrift",
    "WassersteinDrift",
]
