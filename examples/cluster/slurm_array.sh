#!/usr/bin/env bash
#SBATCH --job-name=masoft
#SBATCH --array=1-8
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
# Eight tasks that know nothing of each other do a study's runs between them; each is requeued until its share is done.
#   sbatch slurm_array.sh compare.toml runs/compare
bash "$(dirname "$0")/requeue.sh" study "$1" --out "$2" --no-progress \
    --worker "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
