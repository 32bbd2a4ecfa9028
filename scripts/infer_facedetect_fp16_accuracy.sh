#!/usr/bin/env bash
# mAP of FaceDetect in FP16: see `lfw-eval detect --help` for all options.
#   IMAGES          folder, .tgz or .zip: WIDER FACE, FDDB, KITTI or COCO
#   --model M       FaceDetect's ONNX file
#   --tgt X         exit with 1 where AP is below X
#   --engine E      openvino or tensorrt
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec lfw-eval detect --detector facedetect --precision fp16 "$@"
