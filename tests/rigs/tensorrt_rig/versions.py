"""The versions of TensorRT that the tests have: the last of 8, the first and the last of 10, 11."""

from tensorrt_rig.installation import Installation

_LIBRARIES = ("libnvinfer", "libnvonnxparser", "libnvinfer_plugin")


def _names(major: int, *libraries: str) -> tuple[str, ...]:
    return tuple(f"{library}.so.{major}" for library in (*_LIBRARIES, *libraries))


WITHOUT_BUILDER = {
    "8.6.1": Installation(("tensorrt-bindings==8.6.1",), "no_driver.c", _names(8, "libnvparsers")),
    "10.0.1": Installation(("tensorrt-cu12-bindings==10.0.1",), "no_driver.c", _names(10)),
    "10.16.1": Installation(("tensorrt-cu12-bindings==10.16.1.11",), "no_driver.c", _names(10)),
}
"""Genuine bindings (1 MB each) over a library that finds no driver, as on a machine without GPU."""

WITH_BUILDER = Installation(
    ("tensorrt-cu13-bindings==11.4.0.106", "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0"),
    "rtx.c",
    _names(11),
    {
        "libtensorrt_rtx.so.1.7.1": "libtensorrt_rtx.so.1",
        "libtensorrt_onnxparser_rtx.so.1.7.1": "libtensorrt_onnxparser_rtx.so.1",
    },
)
"""TensorRT 11's bindings over TensorRT-RTX's libraries (150 MB, 250 MB unpacked).

They build plans without a GPU, and need one to load them.
"""
