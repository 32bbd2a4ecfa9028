"""The suite's own way to a plan, up to where it would need a GPU to load it.

A script as well: what is interrupted or killed has to be a process of its own.
"""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.store import EngineStore, StoredEngine
from lfw_eval.engines.tensorrt.build_order import Order
from lfw_eval.engines.tensorrt.builder import build_plan
from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.engines.tensorrt.order import make_order, options_of

_DEVICE = "no GPU"


@dataclass(frozen=True)
class Product:
    """Builds plans of a version into a folder."""

    capabilities: Capabilities
    folder: Path

    def store(self, request: BuildRequest) -> EngineStore:
        """Return the place of the engine of a request."""
        quantization = self.capabilities.quantization(request.precision, None)
        options = options_of(request, quantization)
        return EngineStore.of(self.folder, request, self.capabilities.title, _DEVICE, options)

    @contextmanager
    def order(self, request: BuildRequest) -> Iterator[Order]:
        """Return what is to be built; its own files go afterwards."""
        store = self.store(request)
        quantization = self.capabilities.quantization(request.precision, None)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="build-") as folder:
            yield make_order(request, quantization, self.capabilities, store, _DEVICE, Path(folder))

    def build(self, request: BuildRequest) -> StoredEngine | None:
        """Build an engine and keep it; None where it was there."""
        store = self.store(request)
        quantization = self.capabilities.quantization(request.precision, None)
        built: list[StoredEngine] = []

        def build() -> StoredEngine:
            built.append(build_plan(request, quantization, self.capabilities, store, _DEVICE, 0))
            return built[0]

        store.load_or_build(build)
        return built[0] if built else None


def main(version: str, folder: str, model: str) -> None:
    """Build FP32, and say whether there was need to."""
    # Python leaves an ignored Ctrl-C ignored, as it is where a shell starts pytest in background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    product = Product(Capabilities.of(version), Path(folder))
    built = product.build(BuildRequest(Path(model), "per-image", "fp32"))
    print("built" if built else "loaded")


if __name__ == "__main__":
    main(*sys.argv[1:])
