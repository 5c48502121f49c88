"""The scripts for schedulers, run as these run them; Kubernetes' schema where the package that has it is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from masoft.runs.stopping import STOPPED
from masoft.studies import read_results

SCRIPTS = Path(__file__).parents[2] / "examples" / "cluster"
TOML = """
seeds = [0, 1, 2]
total_timesteps = {steps}
eval_every = 100
eval_episodes = 2
environments = ["matrix/maxent"]
[[algorithms]]
algorithm = "HASAC"
parameters = {{policy_kwargs = {{net_arch = [4]}}, batch_size = 4, learning_starts = 8, buffer_size = 64}}
"""


def batch(folder: Path, task: int, out: Path) -> subprocess.Popen[str]:
    """One task of the array as slurmd starts it: a copy of the script elsewhere, in the folder of submission."""
    spooled = folder / "spool" / f"job{task}" / "slurm_script"
    spooled.parent.mkdir(parents=True, exist_ok=True)
    spooled.write_bytes((SCRIPTS / "slurm_array.sh").read_bytes())
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    (commands / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/requeued\n')
    (commands / "scontrol").chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "MASOFT": f"{sys.executable} -m masoft.cli",
        "SLURM_SUBMIT_DIR": str(SCRIPTS), "SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "2",
        "SLURM_ARRAY_JOB_ID": "7", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return subprocess.Popen(
        ["bash", str(spooled), str(folder / "compare.toml"), str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_the_tasks_of_a_slurm_array_are_requeued_until_the_study_is_done(tmp_path: Path) -> None:
    (tmp_path / "compare.toml").write_text(TOML.format(steps=1_500))
    out = tmp_path / "out"
    first = batch(tmp_path, 1, out)
    for _ in range(1_200):
        if [*out.glob(".work/*.part-*/checkpoints/*.zip")]:
            break
        time.sleep(0.1)
    first.send_signal(signal.SIGUSR1)  # to the batch script alone, as --signal=B:USR1@120 does
    said, _ = first.communicate(timeout=120)
    assert first.returncode == STOPPED, said
    assert (tmp_path / "requeued").read_text() == "requeue 7_1\n"
    for process in (batch(tmp_path, 1, out), batch(tmp_path, 2, out)):
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
    assert len(read_results(out)) == 45
    assert (tmp_path / "requeued").read_text() == "requeue 7_1\n"


def test_the_job_of_kubernetes_is_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    import yaml

    job = yaml.safe_load((SCRIPTS / "kubernetes_job.yaml").read_text())
    assert validate.validate(job, "1.31", strict=True) is not None
    job["spec"]["backofLimit"] = job["spec"].pop("backoffLimit")
    with pytest.raises(validate.ValidationError):
        validate.validate(job, "1.31", strict=True)
