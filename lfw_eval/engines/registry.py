"""Engines by name; a runtime is imported only when its engine is needed."""

import difflib
import re
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from lfw_eval.engines.contract import Engine, EngineOptions
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class Registered:
    """An engine and its options, each as "module:Class".

    Attributes:
        addressed: It is named by an address, such as triton://host/model.
        package: What installs its runtime; None for whatever could not be imported.
    """

    engine: str
    options: str = "lfw_eval.engines.contract:EngineOptions"
    addressed: bool = False
    package: str | None = None


_CACHE = "lfw_eval.engines.cached_scales:CacheOptions"
ENGINES = {
    "openvino": Registered("lfw_eval.engines.openvino:OpenVINOEngine", options=_CACHE),
    "tensorrt": Registered(
        "lfw_eval.engines.tensorrt.engine:TensorRTEngine",
        options="lfw_eval.engines.tensorrt.options:TensorRTOptions",
    ),
    "onnxruntime": Registered("lfw_eval.engines.onnxruntime:OnnxRuntimeEngine", options=_CACHE),
    "triton": Registered(
        "lfw_eval.engines.triton.engine:TritonEngine",
        options="lfw_eval.engines.triton.options:TritonOptions",
        addressed=True,
        package="'lfw-eval[triton]'",
    ),
    "dummy": Registered("lfw_eval.engines.dummy:DummyEngine"),
}


def engine_key(engine: str) -> str:
    """Return the key in `ENGINES` of an engine's name or address, without importing its runtime.

    Raises:
        UserError: There is no such engine.
    """
    scheme = re.split("[:+]", engine)[0]
    key = scheme if scheme in ENGINES and ENGINES[scheme].addressed else engine
    if key not in ENGINES:
        near = difflib.get_close_matches(engine, ENGINES, n=1)
        hint = f"did you mean '{near[0]}'" if near else f"there are {', '.join(ENGINES)}"
        raise UserError(f"`engine` '{engine}' is unknown", hint)
    return key


def engine_class(key: str) -> type[Engine]:
    """Return the engine class of a key in `ENGINES`.

    Raises:
        UserError: There is none, or its runtime is not installed.
    """
    row = ENGINES[engine_key(key)]
    module, _, name = row.engine.partition(":")
    try:
        loaded: type[Engine] = getattr(import_module(module), name)
    except (ImportError, RuntimeError) as error:
        # tritonclient raises RuntimeError where a part of it is missing.
        package = row.package or getattr(error, "name", None) or error
        raise UserError(
            f"`engine` {key} needs a package that is not installed", f"pip install {package}"
        ) from error
    return loaded


def options_class(key: str) -> type[EngineOptions]:
    """Return the class of an engine's own options; it imports no runtime."""
    module, _, name = ENGINES[key].options.partition(":")
    loaded: type[EngineOptions] = getattr(import_module(module), name)
    return loaded


def local_engine() -> str:
    """Return the key of the engine for FP32 beside one that is served."""
    return "openvino" if find_spec("openvino") else "onnxruntime"
