"""Building blocks of actors and critics."""

from masoft.networks.critics import FrozenCritic, JointCritic
from masoft.networks.heads import CategoricalHead, DeterministicHead, Head, SquashedGaussianHead
from masoft.networks.mlp import ImageEncoder, VectorEncoder, make_encoder, mlp

__all__ = [
    "CategoricalHead",
    "DeterministicHead",
    "FrozenCritic",
    "Head",
    "ImageEncoder",
    "JointCritic",
    "SquashedGaussianHead",
    "VectorEncoder",
    "make_encoder",
    "mlp",
]
