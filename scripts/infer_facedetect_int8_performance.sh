#!/usr/bin/env bash
# Speed of FaceDetect in INT8, beside its mAP: see `lfw-eval detect --help` for all options.
#   IMAGES          folder, .tgz or .zip: WIDER FACE, FDDB, KITTI or COCO
#   --model M       FaceDetect's ONNX file
#   --bs N          batch size, 8
#   --engine E      openvino or tensorrt
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec lfw-eval detect --detector facedetect --precision int8 --speed "$@"
