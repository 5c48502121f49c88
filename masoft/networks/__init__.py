"""Building blocks of actors and critics."""

from masoft.networks.critics import FrozenCritic, JointCritic
from masoft.networks.heads import CategoricalHead, SquashedGaussianHead
from masoft.networks.mlp import ImageEncoder, VectorEncoder, make_encoder, mlp

__all__ = [
    "CategoricalHead",
    "FrozenCritic",
    "ImageEncoder",
    "JointCritic",
    "SquashedGaussianHead",
    "VectorEncoder",
    "make_encoder",
    "mlp",
]
