#!/usr/bin/env bash
# One masoft command inside a job that may be stopped and requeued at any time.
#   requeue.sh train hasac mpe/simple_spread_v3 --total-timesteps 1000000 --seed 0 --out runs/x --resume-or-start
#   requeue.sh study compare.toml --out runs/compare --jobs 8
# Signals reach the command itself, this script waits for it, and its exit status is the command's, also where another
# script has read it with "source", which leaves the signals to this one:
# 0 finished, 75 stopped with a checkpoint (requeue it), anything else an error.
MASOFT=${MASOFT:-masoft}
$MASOFT "$@" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM USR1
status=0
wait "$child" || status=$?
# A trapped signal ends "wait" early: the command is still writing its checkpoint then.
while kill -0 "$child" 2>/dev/null; do
    wait "$child" && status=0 || status=$?
done
# Killed by the signal before it had begun to listen: nothing was lost, and nothing has to be saved.
case "$status" in 138 | 143) status=75 ;; esac
return "$status" 2>/dev/null || exit "$status"
