"""Reads mutated contracts, ONNX files, run folders, studies and presets.

``python tests/faults/fuzz_folders.py [N] [SEED] [KIND]``: N mutants of each kind, half of them with damaged bytes, half
with changed values. Everything but a `MasoftError`, an `OSError` of the system's own, or a clean read is a failure, and
so is a file made outside the mutant's own folder, or memory that grows by over 300 MB beside the files' honest size.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_files import ODD, mutate_bytes, places

import masoft
from masoft.errors import MasoftError
from masoft.runs.curves import read_curve
from masoft.runs.settings import RunSettings
from masoft.runs.trained import Team
from masoft.studies import Study, Variant, read_results, read_study, run, write_report
from masoft.studies.traces import read_traces

MORE: list[Any] = [[200_000_000], [10**9], [2] * 40, "float128", "O", "../../x.onnx", "inf", [["x"]], {"n": 1}, 1e400]
SMALL = {"batch_size": 4, "learning_starts": 8, "buffer_size": 64, "policy_kwargs": {"net_arch": [4]}}
STUDY = """
seeds = [0, 1]
total_timesteps = 16
[[algorithms]]
algorithm = "MEHAML"
parameters = {batch_size = 4, drift = "KLDrift(0.5) + 2 * ClipDrift(0.1)"}
grid = {gamma = [0.9, 0.95]}
[[environments]]
env = "matrix/maxent"
scale = [-20, 20]
"""
PRESET = """
algorithm = "HASAC"
tasks = ["mamujoco/Ant-4x2"]
[[layer]]
source = "Table 1"
total_timesteps = 10
parameters = {learning_rate = "Linear(0.001, 0.0)"}
"""


def mutate_json(rng: random.Random, original: bytes) -> bytes:
    """Some values of a JSON file changed."""
    values = json.loads(original)
    for _ in range(rng.choice((1, 1, 2, 5))):
        *above, last = rng.choice(places(values))
        holder = values
        try:
            for key in above:
                holder = holder[key]
            if rng.random() < 0.2 and isinstance(holder, dict):
                holder.pop(last, None)
            else:
                holder[last] = copy.deepcopy(rng.choice([*ODD, *MORE]))
        except (KeyError, IndexError, TypeError):
            continue
    return json.dumps(values).encode()


def mutate_text(rng: random.Random, original: bytes) -> bytes:
    """Words of a text exchanged with one another or with odd ones."""
    words = original.decode().split(" ")
    for _ in range(rng.choice((1, 2, 4))):
        words[rng.randrange(len(words))] = rng.choice([*words, *(str(odd) for odd in [*ODD, *MORE]), "[" * 300, "\0"])
    return " ".join(words).encode()


class Kind:
    """One kind of folder.

    Args:
        place: the sound one.
        names: files of it that are mutated.
        read: reads a folder in every way there is.
    """

    def __init__(self, place: Path, names: list[str], read: Callable[[Path], None]) -> None:
        self.place, self.names, self.read = place, names, read

    def mutant(self, rng: random.Random, target: Path) -> None:
        """A copy with one file changed."""
        shutil.copytree(self.place, target)
        path = target / rng.choice(self.names)
        original = path.read_bytes()
        if rng.random() < 0.5 or path.suffix in (".onnx", ".zip"):
            path.write_bytes(mutate_bytes(rng, original))
        else:
            path.write_bytes((mutate_json if path.suffix == ".json" else mutate_text)(rng, original))


def read_contract(folder: Path) -> None:
    team = masoft.deploy.load(folder)
    team.predict({agent.name: np.zeros(agent.observation_shape, np.float32) for agent in team.team.agents})


def read_run(folder: Path) -> None:
    settings = RunSettings.load(folder)
    settings.algorithm_class()
    Team.of(folder)
    read_curve(folder)
    read_traces(folder)
    masoft.HASAC.resume(folder, device="cpu")


def read_results_of(folder: Path) -> None:
    read_results(folder)
    write_report(folder)


def read_toml(folder: Path) -> None:
    from masoft.presets import strategy

    for each in read_study(folder / "study.toml").runs:
        for value in each.variant.parameters.values():
            strategy(value)


def read_preset(folder: Path) -> None:
    from masoft.notation import looks_like_part
    from masoft.presets import strategy

    for text in (folder / "preset.toml").read_text(errors="replace").split('"')[1::2]:
        if looks_like_part(text):
            strategy(text)


def kinds(folder: Path) -> dict[str, Kind]:
    """One sound folder of each kind."""
    model = masoft.HASAC("matrix/maxent", seed=0, **SMALL)
    model.export(folder / "contract")
    from masoft.cli import cli

    flags = ["--total-timesteps", "60", "--seed", "0", "--eval-episodes", "0", "--json", "--buffer-size", "64"]
    small = ["--learning-starts", "8", "--batch-size", "4", "--policy-kwargs", '{"net_arch": [4]}']
    with contextlib.redirect_stdout(io.StringIO()):
        cli(["train", "hasac", "matrix/maxent", *flags, *small, "--out", str(folder / "run")], standalone_mode=False)
    study = Study([Variant("HASAC", parameters=SMALL)], ["matrix/maxent"], [0, 1], 16)
    run(study, folder / "study", progress_bar=False)
    for name, text in (("study", STUDY), ("preset", PRESET)):
        (folder / f"{name}-toml").mkdir()
        (folder / f"{name}-toml" / f"{name}.toml").write_text(text)
    done = [path.parent.name for path in (folder / "study").glob("*/done.json")]
    inner = [f"{key}/{name}" for key in done for name in ("done.json", "settings.json", "evaluations.csv")]
    shutil.copytree(folder / "contract", folder / "resealed")  # whoever changes a file can change its checksum
    contract = json.loads((folder / "resealed" / "team.json").read_text())
    for agent in contract["agents"]:
        del agent["sha256"]
    (folder / "resealed" / "team.json").write_text(json.dumps(contract))
    actors = [path.name for path in (folder / "contract").glob("*.onnx")]
    newest = max((folder / "run" / "checkpoints").glob("*.zip"))
    parts = [str(path.relative_to(folder / "run")) for path in (newest, *newest.parent.glob("rows-*"))][:1]
    return {
        "contract": Kind(folder / "contract", ["team.json"], read_contract),
        "onnx": Kind(folder / "resealed", actors, read_contract),
        "run": Kind(folder / "run", ["run.json", "progress.csv", *parts], read_run),
        "study": Kind(folder / "study", ["study.json", *inner], read_results_of),
        "study file": Kind(folder / "study-toml", ["study.toml"], read_toml),
        "preset": Kind(folder / "preset-toml", ["preset.toml"], read_preset),
    }


def fuzz(n: int, seed: int = 0, only: str = "") -> dict[str, Counter[str]]:
    """Read ``n`` mutants of each kind; counts by outcome."""
    rng, found = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "sound").mkdir()
        (base / "mutants").mkdir()
        for title, kind in kinds(base / "sound").items():
            if only and title != only:
                continue
            counts = found[title] = Counter[str]()
            kind.read(kind.place)
            for k in range(n):
                target = base / "mutants" / str(k)
                kind.mutant(rng, target)
                began = time.monotonic()
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        kind.read(target)
                    counts["read"] += 1
                except (MasoftError, OSError):
                    counts["refused"] += 1
                except Exception:
                    counts["crashed"] += 1
                    traceback.print_exc()
                counts["slow"] += time.monotonic() - began > 10
                shutil.rmtree(target)
            counts["strangers"] = len([*(base / "mutants").iterdir()]) + len([*base.iterdir()]) - 2
            counts["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(title, json.dumps(counts), flush=True)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    numbers = [int(each) for each in sys.argv[1:3]]
    outcomes = fuzz(*(numbers or [10_000]), only=sys.argv[3] if len(sys.argv) > 3 else "")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"peak memory grew by MiB": peak - before}))
    sys.exit(any(counts["crashed"] or counts["strangers"] for counts in outcomes.values()))
