"""LFW accuracy evaluation of FaceNet and FaceDetect engines."""

import sys
from importlib.metadata import version

__version__ = version("lfw-eval")

# The import of OpenVINO alone is reported to a server, unless this package cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
