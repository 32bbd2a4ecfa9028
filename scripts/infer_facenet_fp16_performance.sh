#!/usr/bin/env bash
# Speed of FaceNet in FP16, FPS and latency: see `lfw-eval benchmark --help` for all options.
#   --bs N          batch size, 64
#   --tgt X         exit with 1 where end-to-end FPS is below X
#   --dataset D     folder or .tgz of LFW; by default it is fetched
#   --checkpoint C  .h5, .pt or .onnx; by default it is fetched
#   --engine E      openvino, tensorrt, onnxruntime or dummy
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec lfw-eval benchmark --precision fp16 "$@"
