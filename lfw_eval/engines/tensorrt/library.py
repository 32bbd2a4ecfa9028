"""TensorRT's Python package, under whichever name it is installed."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.system.errors import UserError

# The last is what the first two import; it is the only one where the libraries are the system's.
PACKAGES = ("tensorrt", "tensorrt_rtx", "tensorrt_bindings")


def load_tensorrt() -> ModuleType:
    """Return the module that the other modules here call `trt`.

    Raises:
        UserError: It is not installed, or its libraries cannot be loaded.
    """
    broken = []
    for name in PACKAGES:
        spec = find_spec(name)
        # A folder of that name is found too, but has no origin.
        if spec is not None and spec.origin:
            try:
                return import_module(name)
            except (ImportError, OSError, RuntimeError) as error:
                # A package that cannot find its libraries ends in any of these.
                broken.append(f"{name}: {next(iter(str(error).splitlines()), 'no reason given')}")
    if broken:
        raise UserError(
            f"TensorRT's Python package is installed but cannot be loaded ({'; '.join(broken)})",
            "put TensorRT's libraries on LD_LIBRARY_PATH, or reinstall the package",
        )
    raise UserError(
        "TensorRT's Python package is not installed",
        "pip install tensorrt cuda-bindings (the scripts do with INSTALL_EXTRA=tensorrt), or use "
        "JetPack's on a Jetson",
    )


def capabilities_of(trt: ModuleType) -> Capabilities:
    """Return what the installed version can do."""
    return Capabilities.of(trt.__version__, rtx=trt.__name__ == "tensorrt_rtx")
