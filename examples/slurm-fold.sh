#!/bin/bash
# A zoo of models as an array of Slurm tasks, without any server: task i folds every n-th model, from the i-th.
#   sbatch --array=1-64 examples/slurm-fold.sh /shared/models /shared/folded
# When all tasks have ended: bnfold report merge /shared/folded/*.jsonl -o all.jsonl
#SBATCH --job-name=bnfold
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --requeue
set -u

code=0
bnfold fold "$1" -o "$2" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --jobs "${SLURM_CPUS_PER_TASK:-1}" --resume || code=$?

case $code in
  # Done; or some nodes or models could not be, which the report lists and another try would not change.
  0 | 5 | 6) exit 0 ;;
  # A full disk, a file system that is away, no memory, a node that is taken away: the same again, from where it ended.
  4 | 75 | 137 | 143)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
      exec scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
    fi
    ;;
esac
exit "$code"
