#!/bin/bash
# Statistics over many samples as an array of Slurm tasks: each computes the moments of its part in the model as it is.
#   parts=$(sbatch --parsable --array=1-64 examples/slurm-recalibrate.sh part net.onnx /shared/images /shared/moments)
#   sbatch --dependency="afterok:$parts" examples/slurm-recalibrate.sh merge net.onnx /shared/images /shared/moments fresh.onnx
#SBATCH --job-name=bnfold-moments
#SBATCH --requeue
set -eu

step=$1 model=$2 data=$3 moments=$4
case $step in
  part)
    mkdir -p "$moments"
    bnfold recalibrate "$model" --data "$data" --at-once \
      --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --moments "$moments/$SLURM_ARRAY_TASK_ID.part"
    # Whole or not at all: a part that was cut off must not be merged.
    mv "$moments/$SLURM_ARRAY_TASK_ID.part" "$moments/$SLURM_ARRAY_TASK_ID.json"
    ;;
  merge)
    bnfold moments merge "$moments"/*.json -o "$moments/all.moments"
    bnfold recalibrate "$model" --at-once --from-moments "$moments/all.moments" -o "$5"
    ;;
esac
