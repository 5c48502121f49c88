"""Finite cooperative Markov games, solved exactly: where the paper's theorems are checked to machine precision."""

from masoft.tabular.equilibrium import joint_kl, nash_gap, one_step_gain, qre_residual, quantal_response
from masoft.tabular.evaluate import SoftValues, entropies, evaluate, expect_others, multi_agent_q, soft_bellman
from masoft.tabular.game import MarkovGame, game_bytes
from masoft.tabular.mehaml import MirrorResult, haspi, mehaml
from masoft.tabular.on_policy import advantages, happo, mappo, surrogate_coefficients
from masoft.tabular.play import GameEnv, learned_policies

__all__ = [
    "GameEnv",
    "MarkovGame",
    "MirrorResult",
    "SoftValues",
    "advantages",
    "entropies",
    "evaluate",
    "expect_others",
    "game_bytes",
    "happo",
    "haspi",
    "joint_kl",
    "learned_policies",
    "mappo",
    "mehaml",
    "multi_agent_q",
    "nash_gap",
    "one_step_gain",
    "qre_residual",
    "quantal_response",
    "soft_bellman",
    "surrogate_coefficients",
]
