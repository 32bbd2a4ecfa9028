"""What every engine is: a network built for one precision, run on batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from calibration.scales import ScaleTable

Precision = Literal["fp32", "fp16", "int8"]
Batch = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: its name, shape (-1 where dynamic) and NumPy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class BuildRequest:
    """What an engine is built from.

    Attributes:
        model: FP32 ONNX file with one float32 input (n, 3, 160, 160), dynamic batch.
        normalisation: Built in before it, so that the engine takes uint8 (n, 160, 160, 3) crops;
            a key of `lfw_eval.checkpoints.normalisation.NORMALISATIONS`.
        precision: "fp16" means the 16-bit type that the device has.
        scales: Needed for "int8".
    """

    model: Path
    normalisation: str
    precision: Precision
    scales: ScaleTable | None = None


class Engine(ABC):
    """A built network. A context manager: leaving it frees the device's memory.

    Attributes:
        inputs: In the order of the model.
        outputs: In the order of the model.
        arithmetic: What the engine computes in, in words; it may differ from the precision asked
            for, where the device lacks it.
        device: The device's name.
        key: Identifies everything that the engine was built from.
        size: Bytes of the built engine; 0 where the runtime keeps none.
    """

    precisions: ClassVar[tuple[Precision, ...]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    arithmetic: str
    device: str
    key: str
    size: int = 0

    @staticmethod
    @abstractmethod
    def runtime() -> str:
        """Return name and version of the runtime."""

    @classmethod
    @abstractmethod
    def build(cls, request: BuildRequest, folder: Path) -> "Engine":
        """Build the engine, or load it from `folder` where it was built from the same before.

        Raises:
            UserError: The runtime cannot build this model.
        """

    @abstractmethod
    def run(self, batch: Batch) -> Outputs:
        """Run one batch; the outputs are the caller's to keep."""

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, yielding outputs in order; several may be under way at once."""
        return map(self.run, batches)

    def close(self) -> None:  # noqa: B027 - an engine may hold nothing to free
        """Free what the engine holds."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
