#!/usr/bin/env bash
# Writes every committed scale table again as TensorRT calibration caches, for the versions given:
#   bash scripts/regenerate_calibration_caches.sh 8.6.0 10.3.0 10.16.1
# Nothing is calibrated anew, so it takes seconds and needs no photographs; TensorRT 11 reads no
# cache, but the Q/DQ network that `lfw-eval calibrate` writes.
set -euo pipefail
if [ $# -eq 0 ]; then
    echo "name the TensorRT versions to write caches for, such as 8.6.0 10.3.0" >&2
    exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
caches=${LFW_EVAL_CACHES:-$project/calibration/caches}
found=0
for table in "$caches"/*/scales-*.json; do
    [ -e "$table" ] || continue
    found=1
    lfw-eval cache write "$table" "${@/#/--tensorrt=}"
done
if [ $found -eq 0 ]; then
    echo "no scale table in $caches; make one with lfw-eval calibrate" >&2
    exit 2
fi
