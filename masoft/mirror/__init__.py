"""Mirror learning as objects: drifts, neighborhoods, update orders and the ways to seek the argmax."""

from masoft.mirror.budget import Budget, EqualBudget, SlopeBudget
from masoft.mirror.change import PolicyChange
from masoft.mirror.correction import CoordinatedRatio, Correction, SequentialRatio
from masoft.mirror.discrete_gradient import DiscreteGradient, Exact, ExactUpTo, StraightThrough
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
from masoft.mirror.exploration import GaussianNoise, Noise, UniformNoise
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
from masoft.mirror.order import FixedOrder, Greedy, Order, RandomPermutation, RandomSubset, Simultaneous
from masoft.mirror.q_target import Mean, QTarget, Smallest, Subset
from masoft.mirror.reference import EveryK, Pace, Polyak
from masoft.mirror.replay import RecentReplay, ReplayRule, UniformReplay
from masoft.mirror.returns import PengReturn, PlainReturn, RetraceReturn, ReturnRule, SoftReturn
from masoft.mirror.schedule import Linear, OverSteps, Schedulable
from masoft.mirror.semi_greedy import SemiGreedy
from masoft.mirror.soft_value import BoundedRelativeEntropy, SoftValue
from masoft.mirror.switched_ball import SwitchedKLBall

__all__ = [
    "BoundedRelativeEntropy",
    "Budget",
    "ClipDrift",
    "CoordinatedRatio",
    "Correction",
    "DiscreteGradient",
    "Drift",
    "EqualBudget",
    "EveryK",
    "Everywhere",
    "Exact",
    "ExactUpTo",
    "FixedOrder",
    "GaussianNoise",
    "GradientSteps",
    "Greedy",
    "Improvement",
    "Improver",
    "Intersection",
    "KLBall",
    "KLDrift",
    "Linear",
    "Mean",
    "NaturalGradient",
    "Neighborhood",
    "NoDrift",
    "Noise",
    "Order",
    "OverSteps",
    "Pace",
    "ParameterBall",
    "PengReturn",
    "PlainReturn",
    "PolicyChange",
    "Polyak",
    "QTarget",
    "RandomPermutation",
    "RandomSubset",
    "RecentReplay",
    "ReplayRule",
    "RetraceReturn",
    "ReturnRule",
    "ScaledDrift",
    "Schedulable",
    "SemiGreedy",
    "SequentialRatio",
    "Simultaneous",
    "Smallest",
    "SlopeBudget",
    "SoftReturn",
    "SoftValue",
    "SquaredRatioDrift",
    "StatewiseNeighborhood",
    "StraightThrough",
    "Subset",
    "SumDrift",
    "SwitchedKLBall",
    "TotalVariationBall",
    "TotalVariationDrift",
    "UniformNoise",
    "UniformReplay",
    "WassersteinDrift",
]
