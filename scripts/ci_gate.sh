#!/usr/bin/env bash
# Runs the evaluation and judges it by a baseline.
#   --baseline B    result file to judge by; default: FP32 of the same run
#   --rules R       TOML file of what is allowed
#   --output F, --junit F, --summary F    what to write the verdict to
#   --accept        make this run the new baseline
#   -- OPTIONS      of `lfw-eval evaluate`, such as -- --precision int8 --dataset lfw.tgz
# Exit codes: 0 passed, 1 regressed or below evaluate's --tgt, 2 a mistake, 3 cannot tell, 70 a
# crash, 130 interrupted, 128 and a signal's number if one ended it. 1 is a verdict, never a crash.
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

# Python's own exit code for a crash is 1, too: that is believed only where a verdict shows it.
crashed() {
    echo "ci_gate.sh: lfw-eval $1 crashed; see above" >&2
    exit 70
}

rm -f "$candidate" "${candidate%.json}.npz"
code=0
lfw-eval evaluate "$@" --output "$candidate" || code=$?
[ $code -ne 1 ] || [ -f "$candidate" ] || crashed evaluate
[ $code -eq 0 ] || exit $code
verdict=$(lfw-eval gate "$candidate" ${gate[@]+"${gate[@]}"}) || code=$?
printf '%s\n' "$verdict"
[ $code -ne 1 ] || [[ $verdict == *regressed* ]] || crashed gate
exit $code
