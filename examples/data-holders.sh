#!/bin/bash
# Statistics over data of several holders who show it to nobody: each computes moments on its own machine, and only those leave it.
# All of them set BNFOLD_QUEUE (a server all reach, TLS and a password) and BNFOLD_STORE (what all see: the model and the moments).
#   at each holder:        examples/data-holders.sh hold north /private/images
#   at the one who asks:   examples/data-holders.sh ask models/net.onnx fresh.onnx north south east
set -eu

step=$1
shift
case $step in
  hold)
    # Takes nothing but what is asked of this holder, until it is stopped.
    exec bnfold worker --holder "$1" --data "$2" --jobs 1
    ;;
  ask)
    model=$1 output=$2
    shift 2
    # Merges moments and writes the model; it ends when it is done.
    bnfold worker --jobs 1 &
    trap 'kill "$!" 2>/dev/null || true' EXIT
    holders=()
    for name in "$@"; do holders+=(--holder "$name"); done
    bnfold jobs recalibrate "$model" "${holders[@]}" -o "$output"
    ;;
esac
