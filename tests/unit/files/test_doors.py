"""What may not pass the doors: NaN weights, swapped actors, contracts and models that ask for too much."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import masoft
from masoft.errors import ModelFileError, NumericalFault
from masoft.files import read_archive, write_archive
from masoft.notation import parse_part

SMALL: dict[str, Any] = {"batch_size": 4, "learning_starts": 8, "buffer_size": 64, "policy_kwargs": {"net_arch": [4]}}


def model() -> Any:
    return masoft.HASAC("matrix/maxent", seed=0, **SMALL)


def broken(value: float) -> Any:
    made = model()
    with torch.no_grad():
        next(iter(made.policy.actors.parameters())).view(-1)[0] = value
    return made


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("actors")
    model().export(folder)
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_saved_exported_or_kept(value: float, tmp_path: Path) -> None:
    for write in (lambda: broken(value).save(tmp_path / "x.zip"), lambda: broken(value).export(tmp_path / "x"),
                  lambda: broken(value).save_checkpoint(tmp_path / "run")):  # fmt: skip
        with pytest.raises(NumericalFault, match="free of NaN and infinity"):
            write()
    assert not (tmp_path / "x.zip").exists() and not (tmp_path / "x").exists()


def test_no_number_is_loaded() -> None:
    file = io.BytesIO()
    model().save(file)
    archive = read_archive(io.BytesIO(file.getvalue()))
    name = next(name for name in archive.members["weights"] if name.startswith("policy.actors"))
    archive.members["weights"][name].view(-1)[0] = float("nan")
    manifest = {key: value for key, value in archive.manifest.items() if key != "sha256"}
    forged = io.BytesIO()
    write_archive(forged, manifest, archive.members.items())
    with pytest.raises(ModelFileError, match="NaN"):
        masoft.HASAC.load(io.BytesIO(forged.getvalue()), device="cpu")


@pytest.mark.parametrize("n", [200, 20_000, 200_000])
def test_layers_that_the_file_does_not_hold(n: int) -> None:
    file = io.BytesIO()
    model().save(file)
    archive = read_archive(io.BytesIO(file.getvalue()))
    manifest = {key: value for key, value in archive.manifest.items() if key != "sha256"}
    manifest["parameters"]["policy_kwargs"] = {"dict": {"net_arch": [4] * n}}
    forged = io.BytesIO()
    write_archive(forged, manifest, archive.members.items())
    with pytest.raises(ModelFileError):
        masoft.HASAC.load(io.BytesIO(forged.getvalue()), device="cpu")


def test_places_on_disk_are_not_followed() -> None:
    file = io.BytesIO()
    masoft.HASAC("matrix/maxent", tensorboard_log="somewhere", **SMALL).save(file)
    assert masoft.HASAC.load(io.BytesIO(file.getvalue()), device="cpu").tensorboard_log is None


@pytest.mark.parametrize(
    ("shape", "message"), [([200_000_000], "more than"), ([10**9], "more than"), ([2] * 40, "at most 8"), ("x", "list")]
)
def test_a_contract_claims_no_more_than_it_may(shape: Any, message: str, actors: Path, tmp_path: Path) -> None:
    content = json.loads((actors / "team.json").read_text())
    content["agents"][0]["observation_space"]["shape"] = shape
    (tmp_path / "team.json").write_text(json.dumps(content))
    with pytest.raises(ModelFileError, match=message):
        masoft.deploy.load(tmp_path)


def test_swapped_and_foreign_actors(actors: Path, tmp_path: Path) -> None:
    folder = tmp_path / "swapped"
    shutil.copytree(actors, folder)
    one, two = sorted(folder.glob("*.onnx"))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    with pytest.raises(ModelFileError, match="its contract was written with"):
        masoft.deploy.load(folder)
    contract = json.loads((folder / "team.json").read_text())
    for agent in contract["agents"]:
        del agent["sha256"]
        agent["observation_space"]["shape"] = [3]
    (folder / "team.json").write_text(json.dumps(contract))
    with pytest.raises(ModelFileError, match="'observation' of .* must be"):
        masoft.deploy.load(folder)


@pytest.mark.parametrize(
    "text", ["'x' * 1000000000 + KLDrift(1)", "KLDrift(" * 400, "[1] * 10 ** 9", "KLDrift('x' * 9)"]
)
def test_parts_that_are_attempts(text: str) -> None:
    with pytest.raises(masoft.errors.ConfigurationError):
        parse_part(text, {"KLDrift": lambda weight: weight})
