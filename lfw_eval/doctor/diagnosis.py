"""The state of a machine: what it has, and what it lacks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Missing:
    """Something that is missing or does not work.

    Attributes:
        reason: Why, and the fix, on one line.
    """

    reason: str


@dataclass(frozen=True)
class TensorRT:
    """TensorRT, or TensorRT-RTX.

    Attributes:
        title: Product and version, such as "TensorRT 8.6.1".
        int8_path: In words, how this version gets INT8.
    """

    title: str
    int8_path: str


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        index: Its number.
        name: As reported by the driver.
        capability: Compute capability, such as (9, 0).
        free: Bytes.
        total: Bytes.
        fast: Precisions faster than FP32, such as ("FP16", "INT8").
    """

    index: int
    name: str
    capability: tuple[int, int]
    free: int
    total: int
    fast: tuple[str, ...]


@dataclass(frozen=True)
class Cuda:
    """The access to GPUs.

    Attributes:
        library: Name and version of the Python package.
        driver: The newest CUDA that the driver supports, such as "12.4".
        gpus: By number; a broken one is replaced by its reason.
    """

    library: str
    driver: str | Missing
    gpus: tuple[Gpu | Missing, ...]


@dataclass(frozen=True)
class GpuAlignment:
    """What it takes, beside TensorRT, to align photographs on a GPU.

    Attributes:
        compiler: Name and version of what compiles its kernels.
    """

    compiler: str


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime and the execution providers it was built with."""

    version: str
    providers: tuple[str, ...]


@dataclass(frozen=True)
class OpenVINODevice:
    """A device of OpenVINO's, such as "CPU", its full name and its optimisation capabilities."""

    device: str
    name: str
    capabilities: tuple[str, ...]


@dataclass(frozen=True)
class OpenVINO:
    """OpenVINO and its devices; a broken one is replaced by its reason."""

    version: str
    devices: tuple[OpenVINODevice | Missing, ...]


@dataclass(frozen=True)
class Cpu:
    """The CPU, and how many cores this process may use."""

    name: str
    cores: int


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint on disk.

    Attributes:
        name: Its name in the manifest.
        source: The file as published, or the distribution that contains it.
        converted: The FP32 ONNX file made from it, if any.
    """

    name: str
    source: Path
    converted: Path | None


@dataclass(frozen=True)
class LfwFiles:
    """LFW on disk: the archive or folder, and the pair list if present."""

    photographs: Path
    pairs: Path | None


@dataclass(frozen=True)
class PreparedCrops:
    """A crop store.

    Attributes:
        folder: Its folder.
        crops: The number of crops.
        alignment: How they were aligned, in words.
        aligned_on: What the faces' detector ran on, in words; None where it is not stored.
    """

    folder: Path
    crops: int
    alignment: str
    aligned_on: str | None


@dataclass(frozen=True)
class CalibrationFiles:
    """The calibrations of a checkpoint.

    Attributes:
        folder: Their folder, named after the checkpoint.
        methods: Those of the scale tables, such as ("entropy",).
        versions: The TensorRT versions with a calibration cache, oldest first.
    """

    folder: Path
    methods: tuple[str, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What this machine has and what it lacks."""

    tensorrt: TensorRT | Missing
    cuda: Cuda | Missing
    gpu_alignment: GpuAlignment | Missing
    onnxruntime: OnnxRuntime | Missing
    openvino: OpenVINO | Missing
    triton: str | Missing
    """The client's version."""
    cpu: Cpu
    checkpoint: CheckpointFiles | Missing
    lfw: LfwFiles | Missing
    celebrities: Path | Missing
    prepared: tuple[PreparedCrops | Missing, ...] | Missing
    calibrations: tuple[CalibrationFiles | Missing, ...] | Missing
