#!/usr/bin/env bash
#SBATCH --job-name=masoft
#SBATCH --array=1-8
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
# Eight tasks that know nothing of each other do a study's runs between them; each is requeued until its share is done.
# Submit it from the folder that has requeue.sh, since SLURM runs a copy of this file that lies elsewhere:
#   sbatch slurm_array.sh compare.toml runs/compare
# Without a disk that all nodes share, give a URL, s3://bucket/compare, and leave --leftovers out.
source "${SLURM_SUBMIT_DIR:-.}/requeue.sh" study "$1" --out "$2" --no-progress --leftovers \
    --worker "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
