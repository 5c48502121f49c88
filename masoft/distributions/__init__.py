"""Action distributions: what a policy is at a batch of states. One base, one file a distribution."""

from masoft.distributions.base import Distribution
from masoft.distributions.categoricals import Categoricals
from masoft.distributions.diagonal_gaussian import DiagonalGaussian
from masoft.distributions.fixed_action import FixedAction
from masoft.distributions.gaussian import Gaussian
from masoft.distributions.squashed_gaussian import SquashedGaussian

__all__ = ["Categoricals", "DiagonalGaussian", "Distribution", "FixedAction", "Gaussian", "SquashedGaussian"]
