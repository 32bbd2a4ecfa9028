#!/usr/bin/env bash
# Accuracy of FaceNet on LFW, FP32 beside INT8: see `lfw-eval evaluate --help` for all options.
#   --bs N          batch size, 64
#   --tgt X         exit with 1 where ACC is below X
#   --dataset D     folder or .tgz of LFW; by default it is fetched
#   --checkpoint C  .h5, .pt or .onnx; by default it is fetched
#   --refine        refine the network for INT8 first
#   --engine E      openvino, tensorrt, onnxruntime or dummy
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec lfw-eval evaluate --precision int8 "$@"
