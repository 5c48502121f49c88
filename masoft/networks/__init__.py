"""Building blocks of actors and critics."""

from masoft.networks.actor import Actor
from masoft.networks.attention import AttentionTorso
from masoft.networks.critic import Critic, PlainTurns, Turns
from masoft.networks.heads import CategoricalHead, DeterministicHead, Head, SquashedGaussianHead
from masoft.networks.joint_critic import JointCritic
from masoft.networks.mlp import ImageEncoder, VectorEncoder, make_encoder, mlp
from masoft.networks.recurrent import GruTorso, LstmTorso
from masoft.networks.torso import MemoryTorso, MlpTorso, Sequences, Torso
from masoft.networks.walk import Walk, WalkOn

__all__ = [
    "Actor",
    "AttentionTorso",
    "CategoricalHead",
    "Critic",
    "DeterministicHead",
    "GruTorso",
    "Head",
    "ImageEncoder",
    "JointCritic",
    "LstmTorso",
    "MemoryTorso",
    "MlpTorso",
    "PlainTurns",
    "Sequences",
    "SquashedGaussianHead",
    "Torso",
    "Turns",
    "VectorEncoder",
    "Walk",
    "WalkOn",
    "make_encoder",
    "mlp",
]
