"""Quantise a network to INT8 with another tool.

Usage: PYTHON benchmarks/refine_peer.py PEER NETWORK.onnx IMAGES.npy OUT

`benchmarks/refine.py` runs it in an environment that has the peer (the extras `peers` and
`peers-modelopt`). IMAGES are what the network takes, float32 (n, 3, height, width). Writes
OUT/quantized.onnx, or OUT/quantized.xml and .bin, and prints a line of JSON: the file, seconds
without imports, the process's peak memory, versions and settings.

Stands alone: it needs nothing of lfw-eval.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Settings = dict[str, Any]
Quantizer = Callable[[Path, Images, Path], tuple[Path, Settings, float]]
"""From network, images and folder to the file, settings and when it began, imports done."""

MAX_DROP = 0.001
"""What NNCF's accuracy control may lose in mean cosine."""
VALIDATED_ON = 128
"""Of the images, by its accuracy control."""


def nncf_with(preset: str, *, fast: bool) -> Quantizer:
    """Return NNCF's `quantize` on OpenVINO with fast or full bias correction.

    Args:
        preset: "performance", its default, or "mixed", whose activations are asymmetric: its advice
            for networks with other activations than ReLU.
    """

    def quantize(network: Path, images: Images, out: Path) -> tuple[Path, Settings, float]:
        import nncf
        import openvino

        start = time.perf_counter()
        # Of what `Core.read_model` returns it takes no bias for one, and corrects none.
        model = openvino.convert_model(network)
        settings = {"preset": preset, "fast_bias_correction": fast}
        quantized = nncf.quantize(
            model,
            nncf.Dataset(singly(images)),
            preset=nncf.QuantizationPreset(preset),
            subset_size=len(images),
            fast_bias_correction=fast,
        )
        return save_ir(quantized, out), settings, start

    return quantize


def nncf_with_accuracy_control(
    network: Path, images: Images, out: Path
) -> tuple[Path, Settings, float]:
    """Return NNCF's `quantize_with_accuracy_control` by the mean cosine of embeddings to FP32."""
    import nncf
    import openvino

    start = time.perf_counter()
    model = openvino.convert_model(network)
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    references = [compiled(image)[0].copy() for image in singly(images[:VALIDATED_ON])]

    def mean_cosine(
        candidate: Callable[[Images], Any], items: Iterable[tuple[Images, Images]]
    ) -> tuple[float, None]:
        pairs = [(candidate(image)[0], reference) for image, reference in items]
        return float(np.mean([cosine(*pair) for pair in pairs])), None

    validation = list(zip(singly(images[:VALIDATED_ON]), references, strict=True))
    quantized = nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(singly(images)),
        nncf.Dataset(validation, lambda item: item[0]),
        mean_cosine,
        max_drop=MAX_DROP,
        drop_type=nncf.DropType.ABSOLUTE,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
    )
    settings = {"preset": "mixed", "max_drop of mean cosine": MAX_DROP, "on crops": len(validation)}
    return save_ir(quantized, out), settings, start


def onnxruntime_with(method: str) -> Quantizer:
    """Return ONNX Runtime's `quant_pre_process` and `quantize_static`, weights per channel."""

    def quantize(network: Path, images: Images, out: Path) -> tuple[Path, Settings, float]:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
            def __init__(self, name: str) -> None:
                self._batches = iter([{name: image} for image in singly(images)])

            def get_next(self) -> dict[str, Images] | None:
                return next(self._batches, None)

        start = time.perf_counter()
        prepared, quantized = out / "prepared.onnx", out / "quantized.onnx"
        quant_pre_process(str(network), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(quantized),
            Reader(input_name(network)),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            calibrate_method=quantization.CalibrationMethod[method],
        )
        prepared.unlink()
        settings = {"activations": "uint8", "weights": "int8 per channel", "method": method}
        return quantized, settings, start

    return quantize


def modelopt_with(method: str) -> Quantizer:
    """Return NVIDIA ModelOpt's quantisation of ONNX files, calibrated on the CPU."""

    def quantize(network: Path, images: Images, out: Path) -> tuple[Path, Settings, float]:
        from modelopt.onnx.quantization import quantize as modelopt_quantize

        start = time.perf_counter()
        quantized = out / "quantized.onnx"
        modelopt_quantize(
            str(network),
            quantize_mode="int8",
            calibration_data={input_name(network): images},
            calibration_method=method,
            calibration_eps=["cpu"],
            calibration_shapes=f"{input_name(network)}:1x{'x'.join(map(str, images.shape[1:]))}",
            output_path=str(quantized),
            high_precision_dtype="fp32",
        )
        return quantized, {"method": method, "calibration_eps": "cpu"}, start

    return quantize


PEERS: Mapping[str, Quantizer] = {
    "nncf-performance": nncf_with("performance", fast=True),
    "nncf-fast": nncf_with("mixed", fast=True),
    "nncf-full": nncf_with("mixed", fast=False),
    "nncf-accuracy": nncf_with_accuracy_control,
    "onnxruntime-minmax": onnxruntime_with("MinMax"),
    "onnxruntime-entropy": onnxruntime_with("Entropy"),
    "onnxruntime-percentile": onnxruntime_with("Percentile"),
    "modelopt-entropy": modelopt_with("entropy"),
    "modelopt-max": modelopt_with("max"),
}
DISTRIBUTIONS = {
    "nncf": ("nncf", "openvino"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "modelopt": ("nvidia-modelopt", "onnxruntime-gpu", "onnx"),
}


def singly(images: Images) -> list[Images]:
    """Return batches of one image."""
    return [images[row : row + 1] for row in range(len(images))]


def cosine(left: Images, right: Images) -> float:
    """Return the cosine of two embeddings (1, d)."""
    return float((left * right).sum() / np.linalg.norm(left) / np.linalg.norm(right))


def input_name(network: Path) -> str:
    """Return the name of a network's input."""
    import onnx

    graph = onnx.load(network, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    return str(next(info.name for info in graph.input if info.name not in constants))


def save_ir(model: Any, out: Path) -> Path:
    """Write OpenVINO's IR, all that is not quantised in float32."""
    import openvino

    path = out / "quantized.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB.

    That of `resource.getrusage` begins at the parent's.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Quantise and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("peer", choices=[*PEERS])
    parser.add_argument("network", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    file, settings, start = PEERS[options.peer](
        options.network, np.load(options.images), options.out
    )
    names = DISTRIBUTIONS[options.peer.partition("-")[0]]
    about = {
        "file": file.name,
        "seconds": round(time.perf_counter() - start, 1),
        "peak MiB": round(peak_memory()),
        "settings": settings,
        "versions": {name: version(name) for name in names},
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main()
