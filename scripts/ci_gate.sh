#!/usr/bin/env bash
# Runs the evaluation and judges it by a baseline: see `lfw-eval gate --help` for exit codes.
#   --baseline B    result file to judge by; default: FP32 of the same run
#   --rules R       TOML file of what is allowed
#   --json F, --junit F, --summary F    what to write the verdict to
#   --accept        make this run the new baseline
#   -- OPTIONS      of `lfw-eval evaluate`, such as -- --precision int8 --dataset lfw.tgz
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
candidate="${GATE_CANDIDATE:-results/gate/candidate.json}"
gate=()
baseline="" accept=""
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case "$1" in
        --help) exec lfw-eval gate --help ;;
        --baseline) baseline="${2:-}" ;;
        --baseline=*) baseline="${1#*=}" ;;
        --accept) accept=1 ;;
    esac
    gate+=("$1")
    shift
done
if [ $# -eq 0 ]; then
    echo "ci_gate.sh: put -- before the options of evaluate, such as -- --precision int8" >&2
    exit 2
fi
shift
# Minutes of evaluation come before the gate reads it.
if [ -n "$baseline" ] && [ -z "$accept" ] && [ ! -f "$baseline" ]; then
    echo "ci_gate.sh: --baseline $baseline does not exist; name another, or make it with --accept" >&2
    exit 2
fi
rm -f "$candidate" "${candidate%.json}.npz"
lfw-eval evaluate "$@" --output "$candidate"
exec lfw-eval gate "$candidate" ${gate[@]+"${gate[@]}"}
