"""How the engines of R- and O-Net are built."""

from lfw_eval.engines.contract import Precision
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.tensorrt.library import capabilities_of, load_tensorrt
from lfw_eval.engines.tensorrt.options import TensorRTOptions

PRECISION: Precision = "fp32"
LEVEL = 3
"""The builder's, as `TensorRTOptions.optimization_level`."""


def engines_title(device: Device) -> str:
    """Return what runs the networks and computes in, such as "TensorRT 10.0.1, float32 (TF32)".

    Raises:
        UserError: TensorRT is missing.
    """
    arithmetic = TensorRTOptions().floating_arithmetic(PRECISION, device.capability)
    return f"{capabilities_of(load_tensorrt()).title}, {arithmetic}"
