"""Engines by name; a runtime is imported only when its engine is asked for."""

import difflib
from importlib import import_module
from importlib.util import find_spec

from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.engines.triton.address import Address
from lfw_eval.system.errors import UserError

ENGINES = {
    "openvino": "lfw_eval.engines.openvino:OpenVINOEngine",
    "tensorrt": "lfw_eval.engines.tensorrt.engine:TensorRTEngine",
    "onnxruntime": "lfw_eval.engines.onnxruntime:OnnxRuntimeEngine",
    "triton": "lfw_eval.engines.triton.engine:TritonEngine",
    "dummy": "lfw_eval.engines.dummy:DummyEngine",
}


def is_served(name: str) -> bool:
    """Whether a server runs the engine, so that nothing of it is built here."""
    return name.partition(":")[0].partition("+")[0] == "triton"


def local_engine() -> str:
    """Return the engine for FP32 beside one that is served."""
    return "openvino" if find_spec("openvino") else "onnxruntime"


def require_engine(name: str) -> str:
    """Return the key in `ENGINES` of an engine's name or address, without its runtime.

    Raises:
        UserError: There is none.
    """
    if is_served(name):
        Address.parse(name)
    key = "triton" if is_served(name) else name
    if key not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, n=1)
        hint = f"did you mean '{near[0]}'" if near else f"there are {', '.join(ENGINES)}"
        raise UserError(f"`engine` '{name}' is unknown", f"{hint}")
    return key


def engine_class(name: str) -> type[Engine]:
    """Return the engine class of that name, or of that address.

    Raises:
        UserError: There is none, or its runtime is not installed.
    """
    module, _, attribute = ENGINES[require_engine(name)].partition(":")
    try:
        found: type[Engine] = getattr(import_module(module), attribute)
    except (ImportError, RuntimeError) as error:
        # Of tritonclient a part may be missing, which it tells by a RuntimeError.
        package = "'lfw-eval[triton]'" if is_served(name) else getattr(error, "name", error)
        raise UserError(
            f"`engine` {name} needs a package that is missing: pip install {package}"
        ) from error
    return found


def engine_class_with(name: str, precision: Precision) -> type[Engine]:
    """Return the engine class of that name, which has the precision.

    Raises:
        UserError: There is none, its runtime is not installed, or it lacks the precision.
    """
    found = engine_class(name)
    if precision not in found.precisions:
        raise UserError(
            f"`engine` {name} has no {precision}, only {', '.join(found.precisions)}",
            "take `engine` openvino or tensorrt",
        )
    return found
