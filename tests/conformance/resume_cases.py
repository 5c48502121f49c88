"""Runs that are interrupted and resumed: which algorithm, in which environments, and all that they must agree on.

As a program it is the second process: ``python resume_cases.py FOLDER NAME...`` resumes each run from FOLDER/NAME.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

import masoft
from masoft.files import Encoder, read_archive, write_archive
from masoft.mirror import BoundedRelativeEntropy, KLBall, KLDrift, SwitchedKLBall
from masoft.testing.algorithm_checks import Kit
from masoft.testing.games import IdentityTeam

HALF = 80
TIMES = ("time/fps", "time/time_elapsed")


@dataclass(frozen=True)
class Case:
    """One run.

    Args:
        algorithm: name of the class.
        settings: constructor arguments.
        wrap: put around the VecEnv.
        kinds: action kinds of the team; None: what the algorithm takes.
    """

    algorithm: str
    settings: dict[str, Any] = field(default_factory=dict)
    wrap: Callable[[VecEnv], VecEnv] | None = None
    kinds: tuple[str, ...] | None = None

    @property
    def kit(self) -> Kit:
        return Kit(getattr(masoft, self.algorithm), self.settings)

    def env(self) -> VecEnv:
        team = IdentityTeam(self.kinds) if self.kinds else self.kit.team()
        kinds = [player.kind for player in team._players.values()]
        env = masoft.make_vec(lambda: IdentityTeam(kinds, episode_length=7), 2, seed=3)
        return self.wrap(env) if self.wrap else env

    def model(self) -> Any:
        return self.kit.build(self.env())


def normalized(env: VecEnv) -> VecEnv:
    return VecNormalize(env, norm_obs_keys=["agent_0", "agent_2"])


SCHEDULE = dict(learning_rate=dict(actor=1e-3, critic=2e-3, ent_coef=1e-3))
CASES: dict[str, Case] = {
    **{name: Case(name) for name in masoft.ALGORITHMS},
    "MEHAML-reference": Case("MEHAML", dict(drift=KLDrift(0.5), neighborhood=KLBall(0.05), reference="polyak_0.1")),
    "MEHAML-priced": Case(
        "MEHAML",
        dict(
            neighborhood=SwitchedKLBall(1e-4, rate=0.1),
            soft_critic=BoundedRelativeEntropy(0.1),
            reference="every_7",
        ),
    ),
    "HASAC-n-step": Case("HASAC", dict(n_steps=5, buffer_size=120, **SCHEDULE)),
    "HASAC-normalized": Case("HASAC", wrap=normalized),
    "HASAC-shared": Case(
        "HASAC", dict(policy_kwargs=dict(net_arch=[16], share_parameters=True)), kinds=("box", "box", "discrete")
    ),
    "HAPPO-recurrent": Case(
        "HAPPO", dict(policy="RnnPolicy", policy_kwargs=dict(net_arch=[16], sequence_length=5), batch_size=None)
    ),
    "QMIX-recurrent": Case("QMIX", dict(policy="RnnPolicy", train_freq=7, batch_size=4)),
    "HAPPO-normalized": Case("HAPPO", wrap=normalized),
}


class Rows(KVWriter):
    """Keeps every row of the log."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append({key: value for key, value in key_values.items() if key not in TIMES})

    def close(self) -> None:
        pass


def learn(model: Any, *, again: bool = False) -> list[dict[str, Any]]:
    """Learn one half, and what was logged meanwhile."""
    if not hasattr(model, "_logger"):
        model.set_logger(Logger(None, [Rows()]))
    (rows,) = model.logger.output_formats
    rows.rows = []
    model.learn(HALF, reset_num_timesteps=not again, log_interval=1)
    return rows.rows


def write_state(model: Any, rows: list[dict[str, Any]], path: Path) -> None:
    """Everything that two runs have to agree on, as a file."""
    encoder = Encoder()
    state = {name: part.state_dict() for name, part in {**model.state_parts(), **model.run_parts()}.items()}
    for info in state["episodes"]["infos"]:
        info.pop("t", None)  # seconds since the start
    replay = model.replay_stretches()
    if replay is not None:
        state["replay"] = {"head": replay.head(), "rows": replay.read(replay.first, replay.end)}
    manifest = {"state": encoder.encode(state, "state"), "rows": encoder.encode(rows, "rows")}
    write_archive(path, manifest, [("tensors", encoder.tensors)])


def differences(one: Path, other: Path) -> list[str]:
    """Names of what is not equal bit by bit."""
    a, b = read_archive(one), read_archive(other)
    ours, theirs = a.members["tensors"], b.members["tensors"]
    found = [name for name in ours.keys() | theirs.keys() if name not in ours or name not in theirs]
    found += [name for name in ours.keys() & theirs.keys() if not torch.equal(ours[name], theirs[name])]
    found += [key for key in ("state", "rows") if a.manifest[key] != b.manifest[key]]
    return found


def continue_all(folder: Path, names: list[str]) -> None:
    """The second process: resume every run and train its second half."""
    for name in names:
        case = CASES[name]
        try:
            model = getattr(masoft, case.algorithm).resume(folder / name, env=case.env())
            rows = learn(model, again=True)
            write_state(model, rows, folder / f"{name}-resumed.zip")
        except Exception:
            (folder / f"{name}-error.txt").write_text(traceback.format_exc())


if __name__ == "__main__":
    torch.set_num_threads(1)
    continue_all(Path(sys.argv[1]), sys.argv[2:])
