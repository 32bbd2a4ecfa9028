"""LFW accuracy and INT8 calibration of face recognition networks.

>>> import lfw_eval as le
>>> faces = le.open_dataset("celebrities")
>>> crops = faces.crop_store().crops
>>> scales = le.calibrate("facenet-keras", crops)
>>> with le.load_engine("facenet-keras") as network:
...     fp32 = le.evaluate(network.embed(crops), faces.pairs)
>>> with le.load_engine("facenet-keras", precision="int8", scales=scales) as network:
...     int8 = le.evaluate(network.embed(crops), faces.pairs)
>>> le.judge(int8, fp32).verdict in ("passed", "cannot tell")
True

A mistake raises `UserError`. What the calls need is imported when one of them is first used.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lfw_eval.api import (
        Comparison,
        Dataset,
        Embedder,
        GateResult,
        Pairs,
        RefinedNetwork,
        Rules,
        ScaleTable,
        UserError,
        VerificationResult,
        calibrate,
        calibration_cache,
        compare,
        evaluate,
        judge,
        load_engine,
        open_dataset,
        quantize,
        read_pairs,
        refine,
    )

    __version__: str

__all__ = [
    "Comparison",
    "Dataset",
    "Embedder",
    "GateResult",
    "Pairs",
    "RefinedNetwork",
    "Rules",
    "ScaleTable",
    "UserError",
    "VerificationResult",
    "__version__",
    "calibrate",
    "calibration_cache",
    "compare",
    "evaluate",
    "judge",
    "load_engine",
    "open_dataset",
    "quantize",
    "read_pairs",
    "refine",
]

# The import of OpenVINO alone is reported to a server, unless this package cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


if not TYPE_CHECKING:  # else any name would pass for a call

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            value: Any = import_module("importlib.metadata").version("lfw-eval")
        elif name in __all__:
            # First, since it says so where another package hides calibration.
            import_module("lfw_eval.system.errors")
            value = getattr(import_module("lfw_eval.api"), name)
        else:
            raise AttributeError(f"module 'lfw_eval' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
