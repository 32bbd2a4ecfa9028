"""What every engine is: a network built for one precision, run on batches."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.scales import ScaleTable
from lfw_eval.checkpoints.quantized import Quantization
from lfw_eval.results.calibration import CacheDescription
from lfw_eval.results.executed import ExecutedTypes
from lfw_eval.system.closing import Closing

Precision = Literal["fp32", "fp16", "int8"]
Batch = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[Any]]
_Options = TypeVar("_Options", bound="EngineOptions")

STREAMS = 12
"""Default number of batches under way at once: enough to keep an H200 busy while some copy. With 4
it waits for the host."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: its name, shape (-1 where dynamic) and NumPy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class EngineOptions:
    """The options of an engine that has none; an engine with options derives its own."""

    served: ClassVar[bool] = False
    """A server runs the engine: nothing of it is built here."""

    @classmethod
    def asked(cls: type[_Options], engine: str, **values: Any) -> _Options:
        """Return the options with the values that a user gave.

        Args:
            engine: As the user named it, which may be an address.
            values: By name of the field.
        """
        return cls(**values)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the options' names."""
        return tuple(field.name for field in fields(cls))

    @property
    def gpus(self) -> tuple[int, ...]:
        """Numbers of the GPUs that the engine runs on."""
        return ()

    def on(self: _Options, gpus: tuple[int, ...]) -> _Options:
        """Return the same on other GPUs; the same for an engine that runs on none."""
        return self

    @property
    def has_scales(self) -> bool:
        """Whether the engine brings its own INT8 scales, so that none have to be calibrated."""
        return self.served

    def label(self, engine: str) -> str:
        """Return what results call the engine of that name."""
        return engine

    def without_int8(self: _Options) -> _Options:
        """Return the same without what concerns INT8, for an engine of another precision."""
        return self

    def check(self, precision: Precision) -> None:
        """Refuse what does not go together, before anything long begins.

        Raises:
            UserError: The options contradict each other or the precision.
        """

    def check_network(self, model: Path) -> None:
        """Refuse what does not go with an FP32 ONNX file, before anything long begins.

        Raises:
            UserError: An option is of another network.
        """


@dataclass(frozen=True)
class BuildRequest:
    """What an engine is built from.

    Attributes:
        model: ONNX file with one float32 input (n, 3, height, width), dynamic batch.
        normalisation: Built in before it, so that the engine takes uint8 (n, height, width, 3);
            text of a `lfw_eval.checkpoints.preprocessing.Preprocessing`. Where it is empty, the
            file is built as it is, whatever shape its float32 input has.
        precision: "fp16" means the 16-bit type that the device has.
        scales: Needed for "int8".
        batch_size: The one to optimise for.
        max_batch_size: The largest one that will be run, if larger than that.
        calibration_crops: As `Scales.crops`.
        options: The engine's own.
        strict_precision: Let the runtime choose no other type for what is quantised, if it can.
        quantization: How the model itself is quantised, as `Checkpoint.quantization`; its
            precision is "int8" then, and it runs as it is.
        float_layers: As `Scales.float_layers`.
        title: What a build's progress calls the network; it may be empty.
        observed: Tensors to put out, too, of an `ObservingEngine`; see `with_observed`.
    """

    model: Path
    normalisation: str
    precision: Precision
    scales: ScaleTable | None = None
    batch_size: int = 64
    max_batch_size: int = 1
    calibration_crops: Callable[[], NDArray[np.uint8]] | None = None
    options: EngineOptions = EngineOptions()
    strict_precision: bool = False
    quantization: Quantization | None = None
    float_layers: tuple[str, ...] = ()
    title: str = ""
    observed: tuple[str, ...] = ()

    @property
    def batches(self) -> tuple[int, int, int]:
        """The smallest batch, the one to optimise for, and the largest."""
        return 1, self.batch_size, max(self.batch_size, self.max_batch_size)

    def options_as(self, kind: type[_Options]) -> _Options:
        """Return the options as an engine's own; its defaults where the request has none.

        Raises:
            TypeError: They are another engine's.
        """
        if type(self.options) is EngineOptions:
            return kind()
        if not isinstance(self.options, kind):
            raise TypeError(f"{self.options} are not {kind.__name__}")
        return self.options


@dataclass(frozen=True, eq=False)
class ResidentTiming:
    """Speed of an engine by itself, its crops resident where it reads them.

    Attributes:
        fps: Crops per second, as many batches under way as the engine runs best with.
        latency_ms: float64 (n,), milliseconds of one batch at a time.
    """

    fps: float
    latency_ms: NDArray[np.float64]


class BuiltEngine(Closing, ABC):
    """A built network, wherever it runs. A context manager: leaving it frees what it holds.

    Attributes:
        inputs: In the order of the model.
        outputs: In the order of the model.
        arithmetic: What it computes in, in words; not the precision where the device lacks that.
        calibration_cache: The user's, that INT8 scales come from.
        executed: The types that its layers run in; None where the runtime does not report them.
        device: The device's name.
        key: Identifies everything that the engine was built from.
        adaptation: How a quantised network was changed for the runtime to get it right, and why;
            empty where it was not.
        refinement: Steps that refined its network for INT8, in words; empty for the checkpoint's.
        size: Bytes of the built engine; 0 where the runtime keeps none.
        build_seconds: How long it took to build, in this run or an earlier one.
        cacheable: Whether outputs may be cached under `key`; False for a server's model, of which
            `key` cannot say all that they depend on.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    arithmetic: str
    device: str
    key: str
    executed: ExecutedTypes | None = None
    adaptation: str = ""
    refinement: str = ""
    calibration_cache: CacheDescription | None = None
    size: int = 0
    build_seconds: float = 0.0
    cacheable: bool = True

    @abstractmethod
    def runtime(self) -> str:
        """Return name and version of the runtime."""

    @abstractmethod
    def stream_images(
        self, images: NDArray[np.uint8], size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[tuple[float, Outputs]]:
        """Run images (n, height, width, 3) from row `start` on, in batches of `size`.

        Yields:
            When work on them began, in seconds as `time.time`, and outputs, in order.
        """


class Engine(BuiltEngine):
    """An engine in this process, which takes batches. Leaving it frees the device's memory.

    Attributes:
        path: The file of the built engine; None where there is none.
        precisions: Those that it can be built for.
        thread_safe: Whether several threads may call `run` at once.
        constrained: Whether the runtime was told to choose no other type than int8 for what is
            quantised.
    """

    precisions: ClassVar[tuple[Precision, ...]]
    thread_safe: ClassVar[bool] = False
    constrained: bool = False
    path: Path | None = None

    @staticmethod
    @abstractmethod
    def runtime() -> str:
        """Return name and version of the runtime."""

    @classmethod
    def require_runtime(cls, options: EngineOptions) -> None:
        """Raise a UserError if a library or device is missing, before anything long begins."""

    @classmethod
    @abstractmethod
    def build(cls, request: BuildRequest, folder: Path) -> "Engine":
        """Build the engine, or load it from `folder` where it was built from the same before.

        Raises:
            UserError: The runtime cannot build this model.
        """

    @classmethod
    def loads_beside_others(cls, request: BuildRequest, folder: Path) -> bool:
        """Return whether `build` only loads what was built, and leaves the processor to others."""
        return False

    @abstractmethod
    def run(self, batch: Batch) -> Outputs:
        """Run one batch; the outputs are the caller's to keep."""

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, yielding outputs in order; several may be under way at once."""
        return map(self.run, batches)

    def image_batches(
        self, images: NDArray[np.uint8], size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[Batch]:
        """Yield images (n, height, width, 3) from row `start` on as batches of the first input."""
        for first in range(start, len(images), size):
            batch = images[first : first + size]
            batch = np.ascontiguousarray(batch[:, :, ::-1]) if mirrored else batch
            yield {self.inputs[0].name: batch}

    def stream_images(
        self, images: NDArray[np.uint8], size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[tuple[float, Outputs]]:
        """Run images from row `start` on, in batches, once the engine is warm."""
        # The first batch of an engine allocates its memory.
        self.run(next(self.image_batches(images, size, start, mirrored=mirrored)))
        began = time.time()
        for outputs in self.stream(self.image_batches(images, size, start, mirrored=mirrored)):
            yield began, outputs

    def time_resident(self, batch: Batch, seconds: float) -> ResidentTiming:
        """Run one batch again and again, half of the time as fast as it goes, half one by one."""
        size = len(next(iter(batch.values())))
        start = time.perf_counter()
        count = sum(1 for _ in self.stream(_repeated(batch, start + seconds / 2)))
        fps = count * size / (time.perf_counter() - start)
        latencies = []
        for once in _repeated(batch, time.perf_counter() + seconds / 2):
            before = time.perf_counter()
            self.run(once)
            latencies.append(time.perf_counter() - before)
        return ResidentTiming(fps, np.array(latencies) * 1e3)

    def hardware(self) -> dict[str, str]:
        """Return what else a result should say of the device, such as its clocks."""
        return {}


def _repeated(batch: Batch, deadline: float) -> Iterator[Batch]:
    yield batch
    while time.perf_counter() < deadline:
        yield batch
