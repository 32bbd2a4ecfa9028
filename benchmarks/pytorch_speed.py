"""Time a network in PyTorch on a GPU, in FP16, eager and compiled.

Usage: python benchmarks/pytorch_speed.py MODEL.onnx [BATCH ...]

The network is the ONNX file that the engines are built from, batch normalisation folded, run node
by node as PyTorch's own operators in channels-last memory. Images stay on the GPU. Prints a JSON
object, which `benchmarks/gpu_speed.py` reads. Stands alone: it needs torch, onnx and numpy, and
nothing of lfw-eval.
"""

import argparse
import json
import sys
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as functional
from onnx import numpy_helper

SECONDS = 2.0


class OnnxNetwork(torch.nn.Module):  # type: ignore[misc]
    """The operators that FaceNet has, and no others."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        self.source = model.graph.input[0].name
        self.result = model.graph.output[0].name
        self.nodes = [
            (
                node.op_type,
                list(node.input),
                node.output[0],
                {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in model.graph.node
        ]
        self.places = {t.name: f"constant_{i}" for i, t in enumerate(model.graph.initializer)}
        for tensor in model.graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            self.register_buffer(self.places[tensor.name], values)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Run all nodes."""
        tensors = {self.source: images}
        for operator, inputs, output, attributes in self.nodes:
            values = [
                tensors[name] if name in tensors else getattr(self, self.places[name])
                for name in inputs
            ]
            tensors[output] = run_node(operator, values, attributes)
        return tensors[self.result]


def run_node(operator: str, x: list[torch.Tensor], attributes: dict) -> torch.Tensor:  # type: ignore[type-arg]
    """Run one node."""
    pads = attributes.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        raise ValueError(f"{operator} is padded unevenly: {pads}")
    if operator == "Conv":
        bias = x[2] if len(x) > 2 else None
        return functional.conv2d(x[0], x[1], bias, attributes.get("strides", 1), pads[:2])
    if operator == "MaxPool":
        return functional.max_pool2d(x[0], attributes["kernel_shape"], attributes["strides"])
    if operator == "Gemm":
        return functional.linear(x[0], x[1] if attributes.get("transB") else x[1].T, x[2])
    simple = {
        "Relu": lambda: torch.relu(x[0]),
        "Add": lambda: x[0] + x[1],
        "Concat": lambda: torch.cat(x, attributes["axis"]),
        "GlobalAveragePool": lambda: x[0].mean((2, 3), keepdim=True),
        "Flatten": lambda: x[0].flatten(1),
    }
    return simple[operator]()


def frames_per_second(network: torch.nn.Module, images: torch.Tensor) -> float:
    """Run the images again and again."""
    for _ in range(5):
        network(images)
    torch.cuda.synchronize()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        for _ in range(10):
            network(images)
        torch.cuda.synchronize()
        count += 10
    return count * len(images) / (time.perf_counter() - start)


def main() -> None:
    """Measure eager and compiled at each batch size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("batch_sizes", nargs="*", type=int, metavar="BATCH")
    options = parser.parse_args()
    sizes = options.batch_sizes or [64, 256]
    network = (
        OnnxNetwork(onnx.load(options.model))
        .eval()
        .half()
        .cuda()
        .to(memory_format=torch.channels_last)
    )
    rates: dict[str, dict[str, float]] = {"eager": {}, "compile": {}, "compile, CUDA graphs": {}}
    for size in sizes:
        images = torch.from_numpy(np.random.default_rng(0).normal(size=(size, 3, 160, 160)))
        images = images.half().cuda().to(memory_format=torch.channels_last)
        rates["eager"][str(size)] = frames_per_second(network, images)
        for name, mode in (("compile", "default"), ("compile, CUDA graphs", "reduce-overhead")):
            torch.compiler.reset()
            compiled = torch.compile(network, dynamic=False, mode=mode)
            rates[name][str(size)] = frames_per_second(compiled, images)
        print(f"batch {size}: {rates}", file=sys.stderr, flush=True)
    print(json.dumps({"torch": torch.__version__, "fps": rates}))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
