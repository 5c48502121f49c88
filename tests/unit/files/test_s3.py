"""The same against S3's protocol: a server of moto's on this machine, through s3fs; skipped where these are absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import masoft
from masoft.files import remote

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'masoft[s3]'")
pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[server]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BUCKET = "s3://masoft-tests"
SMALL: dict[str, Any] = dict(
    learning_starts=8, batch_size=8, buffer_size=400, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}
)
ENDLESS = f"""
import masoft, sys
from masoft.callbacks import CheckpointCallback
small = {SMALL!r}
env = masoft.make_vec("matrix/maxent", seed=0)
try:
    model = masoft.HASAC.resume(sys.argv[1], env=env, device="cpu")
except masoft.errors.ModelFileError:
    model = masoft.HASAC(env, **small)
model._total_timesteps = 10**6
print("learns", flush=True)
model.learn(10**6, reset_num_timesteps=False, callback=CheckpointCallback(sys.argv[1], 20, keep_last=1))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """S3 on this machine, with one bucket; AWS's own variables lead there."""
    command = [sys.executable, "-c", "from moto.server import main; main(['-p', '5077'])"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5077", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    try:
        _make_bucket()
        yield BUCKET
    finally:
        os.environ.clear()
        os.environ.update(before)
        process.kill()
        process.wait()


def _make_bucket() -> None:
    for _ in range(100):
        try:
            return remote.file_system(BUCKET)[0].mkdir(BUCKET)
        except Exception:  # it is not up yet
            time.sleep(0.2)
    raise AssertionError("moto's server does not answer")


@pytest.fixture(autouse=True)
def new_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_copies", {})


def test_models_are_saved_and_loaded(server: str) -> None:
    model = masoft.HASAC("matrix/maxent", **SMALL).learn(20)
    model.save(f"{server}/team")
    loaded = masoft.HASAC.load(f"{server}/team", device="cpu")
    assert all(map(torch.equal, loaded.policy.state_dict().values(), model.policy.state_dict().values()))
    with pytest.raises(OSError, match="s3://no-such-bucket"):
        model.save("s3://no-such-bucket/team")


def test_a_training_that_is_killed_again_and_again_goes_on(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, steps = f"{server}/killed", []
    for k in range(6):
        command = [sys.executable, "-W", "ignore", "-c", ENDLESS, url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "learns\n"
        time.sleep(0.6 + 0.17 * k)  # a checkpoint takes a tenth of that: somewhere between its writes
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        monkeypatch.setattr(remote, "_copies", {})
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "is damaged, trying the one before it"
            steps.append(masoft.HASAC.resume(url, env="matrix/maxent", device="cpu").num_timesteps)
    assert steps == sorted(steps) and steps[-1] > steps[0] > 0


TOML = """
seeds = [0, 1]
total_timesteps = 40
eval_every = 20
eval_episodes = 2
environments = ["matrix/maxent"]
[[algorithms]]
algorithm = "HASAC"
parameters = {learning_starts = 8, batch_size = 4, policy_kwargs = {net_arch = [4]}}
"""


def test_two_machines_share_a_study_that_only_the_store_holds(server: str, tmp_path: Path) -> None:
    file, url = tmp_path / "small.toml", f"{server}/study"
    file.write_text(TOML)
    command = [sys.executable, "-m", "masoft.cli", "study", str(file), "--no-progress", "--out"]
    both = [
        subprocess.Popen([*command, url, "--worker", f"{i}/2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for i in (1, 2)
    ]
    for process in both:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
    assert f"masoft plot {url}" in done.stdout
    subprocess.run([*command, str(tmp_path / "here"), "--jobs", "2"], capture_output=True, check=True)
    there = remote.local_folder(url)
    assert (there / "results.csv").read_text() == (tmp_path / "here" / "results.csv").read_text()
