"""Loads mutated model files and counts what comes of it: ``python tests/faults/fuzz_files.py [N] [SEED]``.

A third of the mutants have damaged bytes; the others have a changed manifest or changed arrays under fresh checksums,
as an attacker would make them. Everything but a `MasoftError` or a clean load is a failure, and so is a run payload.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import random
import resource
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from masoft import MEHAML
from masoft.errors import MasoftError
from masoft.files import read_archive, write_archive
from masoft.mirror import KLDrift

ODD: list[Any] = [
    None, True, -1, 0, 2**31, 10**12, 10**400, 1e308, "", "x", "../../x", "os:system", "masoft.cli.__main__:main",
    "builtins:eval", "torch.nn:Linear", [], {}, [[[]]], {"dict": {}}, {"class": "subprocess:Popen"}, {"float": "nan"},
    {"object": "masoft.mirror.drift:KLDrift", "fields": {"weight": -1}}, {"absent": "x"}, {"tensor": "policy"},
    {"function": "os:system"}, {"pairs": [[[], 1]]}, {"tuple": [1]},
]  # fmt: skip


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def small_model() -> bytes:
    """A model file as bytes."""
    model = MEHAML("matrix/maxent", drift=KLDrift(0.5), policy_kwargs={"net_arch": [4]}, buffer_size=64, batch_size=8)
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nest of JSON values."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def mutate_manifest(rng: random.Random, original: bytes) -> bytes:
    archive = read_archive(io.BytesIO(original))
    manifest = copy.deepcopy(archive.manifest)
    for _ in range(rng.choice((1, 1, 2, 5))):
        *above, last = rng.choice(places(manifest))
        holder = manifest
        for key in above:
            holder = holder[key]
        if rng.random() < 0.2 and isinstance(holder, dict):
            holder.pop(last, None)
        elif rng.random() < 0.3 and isinstance(holder.get(last) if isinstance(holder, dict) else holder[last], int):
            holder[last] = rng.choice([-1, 0, 10**6, 10**9, 2**62])
        else:
            holder[last] = copy.deepcopy(rng.choice(ODD))
    return sealed(manifest, archive.members)


def mutate_tensors(rng: random.Random, original: bytes) -> bytes:
    archive = read_archive(io.BytesIO(original))
    members = {name: dict(tensors) for name, tensors in archive.members.items()}
    tensors = members["weights"]
    name = rng.choice(sorted(tensors))
    change = rng.choice(("drop", "shape", "type", "nan", "extra"))
    if change == "drop":
        tensors.pop(name)
    elif change == "shape":
        tensors[name] = torch.zeros(rng.choice([(0,), (1, 1, 1, 7), (65_536,), ()]))
    elif change == "type":
        tensors[name] = tensors[name].to(rng.choice([torch.int8, torch.float64, torch.bool])).clone()
    elif change == "nan":
        tensors[name] = torch.full(tensors[name].shape, float("nan"))
    else:
        tensors["extra"] = torch.zeros(3)
    return sealed(archive.manifest, members)


def sealed(manifest: dict[str, Any], members: Any) -> bytes:
    file = io.BytesIO()
    try:
        write_archive(file, {k: v for k, v in manifest.items() if k != "sha256"}, members.items())
    except (ValueError, OverflowError):  # JSON itself refuses the number
        return b""
    return file.getvalue()


def mutate_bytes(rng: random.Random, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(rng.choice((1, 2, 8, 64))):
        where = rng.randrange(len(data))
        change = rng.choice(("flip", "cut", "insert", "zero", "repeat"))
        if change == "flip":
            data[where] ^= 1 << rng.randrange(8)
        elif change == "cut" and len(data) > 64:
            del data[where : where + rng.randrange(1, 4096)]
        elif change == "insert":
            data[where:where] = rng.randbytes(rng.randrange(1, 64))
        elif change == "zero":
            data[where : where + 16] = bytes(len(data[where : where + 16]))
        else:
            data[where:where] = data[where : where + 512]
        if not data:
            break
    return bytes(data)


def bombs(original: bytes, path: str) -> list[bytes]:
    """The original with a pickle in place of each member, beside the members, and instead of the whole file."""
    payload = pickle.dumps(Bomb(path))
    made = [payload]
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment
    for name in [*contents, "data.pkl", "policy.pth", "../../payload.safetensors"]:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for member, data in {**contents, name: payload}.items():
                archive.writestr(member, data)
            archive.comment = comment
        made.append(file.getvalue())
    return made


def fuzz(n: int, seed: int = 0) -> Counter[str]:
    """Load ``n`` mutants; counts by outcome. Tracebacks of what should not happen go to standard error."""
    rng, outcomes = random.Random(seed), Counter[str]()
    original = small_model()
    with tempfile.TemporaryDirectory() as folder:
        flag = Path(folder) / "executed"
        planted = bombs(original, str(flag))
        kinds = (mutate_bytes, mutate_manifest, mutate_tensors)
        for k in range(n):
            data = planted[k] if k < len(planted) else kinds[k % 3](rng, original)
            try:
                MEHAML.load(io.BytesIO(data), device="cpu")
                outcomes["bomb loaded" if k < len(planted) else "loaded"] += 1
            except MasoftError:
                outcomes["refused"] += 1
            except Exception:
                outcomes["crashed"] += 1
                traceback.print_exc()
        outcomes["payloads run"] = int(flag.exists())
    return outcomes


if __name__ == "__main__":
    torch.set_num_threads(1)
    MEHAML.load(io.BytesIO(small_model()), device="cpu")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(json.dumps({**counts, "peak memory grew by MiB": grown}))
    sys.exit(bool(counts["crashed"] or counts["payloads run"] or counts["bomb loaded"]))
