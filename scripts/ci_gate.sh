#!/usr/bin/env bash
# Runs the evaluation and judges it by a baseline: see `lfw-eval gate --help` for exit codes.
#   --baseline B    result file to judge by; default: FP32 of the same run
#   --rules R       TOML file of what is allowed
#   --json F, --junit F, --summary F    what to write the verdict to
#   --accept        make this run the new baseline
#   -- OPTIONS      of `lfw-eval evaluate`, such as -- --precision int8 --dataset lfw.tgz
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
gate=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    gate+=("$1")
    shift
done
[ $# -eq 0 ] || shift
candidate="${GATE_CANDIDATE:-results/candidate.json}"
lfw-eval evaluate "$@" --output "$candidate"
exec lfw-eval gate "$candidate" ${gate[@]+"${gate[@]}"}
