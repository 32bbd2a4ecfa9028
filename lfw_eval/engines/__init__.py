"""Engines by name; a runtime is imported only when its engine is asked for."""

import difflib
from importlib import import_module

from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.errors import UserError

ENGINES = {
    "openvino": "lfw_eval.engines.openvino:OpenVINOEngine",
    "tensorrt": "lfw_eval.engines.tensorrt.engine:TensorRTEngine",
    "onnxruntime": "lfw_eval.engines.onnxruntime:OnnxRuntimeEngine",
    "dummy": "lfw_eval.engines.dummy:DummyEngine",
}


def engine_class(name: str) -> type[Engine]:
    """Return the engine class of that name.

    Raises:
        UserError: There is none, or its runtime is not installed.
    """
    if name not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, n=1)
        hint = f"did you mean '{near[0]}'" if near else f"there are {', '.join(ENGINES)}"
        raise UserError(f"--engine '{name}' is unknown; {hint}")
    module, _, attribute = ENGINES[name].partition(":")
    try:
        found: type[Engine] = getattr(import_module(module), attribute)
    except ImportError as error:
        package = error.name or str(error)
        raise UserError(
            f"--engine {name} needs a package that is missing: pip install {package}"
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
            f"--engine {name} has no {precision}, only {', '.join(found.precisions)}; "
            "take --engine openvino or tensorrt"
        )
    return found
