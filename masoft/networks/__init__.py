"""Building blocks of actors and critics."""

from masoft.networks.critic import Critic, PlainTurns, Turns
from masoft.networks.heads import CategoricalHead, DeterministicHead, Head, SquashedGaussianHead
from masoft.networks.joint_critic import JointCritic
from masoft.networks.mlp import ImageEncoder, VectorEncoder, make_encoder, mlp

__all__ = [
    "CategoricalHead",
    "Critic",
    "DeterministicHead",
    "Head",
    "ImageEncoder",
    "JointCritic",
    "PlainTurns",
    "SquashedGaussianHead",
    "Turns",
    "VectorEncoder",
    "make_encoder",
    "mlp",
]
