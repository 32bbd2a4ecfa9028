"""Build R- and O-Net at several levels of TensorRT's builder, and time what comes of it.

Usage: python benchmarks/mtcnn_engines.py [--levels 0 1 2 3] [--precisions tf32 fp16]
                                          [--optimise-for full eighth]

Prints a line per build, and writes all to benchmarks/results/mtcnn_engines.json: seconds of the
build without earlier timings, MiB of the GPU for a lane's context, and milliseconds of a run with
patches that are on the GPU: of full, half and an eighth of the largest batch, and of sizes that
change from run to run, as those of photographs do (its host time beside it).
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from json_file import write_json

from lfw_eval.detectors.cuda_mtcnn.networks import build_requests
from lfw_eval.detectors.mtcnn_networks import fetch_networks
from lfw_eval.engines.contract import BuildRequest, Precision
from lfw_eval.engines.cuda.device import byte_size
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.resident import ResidentPlan
from lfw_eval.engines.tensorrt.stored_plan import load_or_build_plan
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "mtcnn_engines.json"
PRECISIONS: dict[str, tuple[Precision, bool]] = {
    "tf32": ("fp32", True),
    "fp32": ("fp32", False),
    "fp16": ("fp16", True),
}
SHARES = {"full": 1, "half": 2, "eighth": 8}
RUNS = 50


def timed(plan: ResidentPlan) -> dict[str, float]:
    """Return the figures of a plan in one context."""
    device, largest = plan.device, plan.largest_batch
    sizes = {name: [largest // share] * RUNS for name, share in SHARES.items()}
    sizes["changing"] = [largest // 2 + step for step in range(RUNS)]
    with device.active(), Buffers(device) as memory:
        before, _ = device.memory()
        network = plan.execution()
        stream = device.stream()
        tensors = {}
        for spec in (*plan.inputs, *plan.outputs):
            size = byte_size((largest, *spec.shape[1:]), spec.dtype)
            tensors[spec.name] = memory.reserve(spec.name, size)
            stream.zero(tensors[spec.name], size)

        def milliseconds(counts: Sequence[int]) -> float:
            network.run(stream, counts[0], tensors)
            stream.synchronize()
            start = stream.record()
            for count in counts:
                network.run(stream, count, tensors)
            return stream.record().milliseconds_since(start) / RUNS

        figures = {f"{name}_ms": milliseconds(counts) for name, counts in sizes.items()}
        start = time.perf_counter()
        for count in sizes["changing"]:
            network.run(stream, count, tensors)
        figures["changing_host_ms"] = (time.perf_counter() - start) * 1e3 / RUNS
        stream.synchronize()
        after, _ = device.memory()
        figures["context_mib"] = (before - after - memory.allocated) / 2**20
        network.close()
    return figures


def measure(request: BuildRequest) -> dict[str, float]:
    """Build by itself, and time it."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        stored = load_or_build_plan(request, None, Path(folder))
        seconds = time.perf_counter() - start
        with stored.resident(stored.devices[0]) as plan:
            return {"build_seconds": seconds, **timed(plan)}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--precisions", choices=PRECISIONS, nargs="+", default=["tf32"])
    parser.add_argument("--optimise-for", choices=SHARES, nargs="+", default=["full"])
    arguments = parser.parse_args()
    weights = fetch_networks()
    rows: list[dict[str, Any]] = []
    for precision, level in product(arguments.precisions, arguments.levels):
        kind, tf32 = PRECISIONS[precision]
        options = TensorRTOptions(optimization_level=level, tf32=tf32)
        requests = build_requests(weights, kind, options)
        for request, share in product(requests, arguments.optimise_for):
            largest = request.batch_size
            optimal = largest // SHARES[share]
            figures = measure(replace(request, batch_size=optimal, max_batch_size=largest))
            row = {
                "network": request.title,
                "precision": precision,
                "level": level,
                "optimised_for": share,
                **{name: round(value, 3) for name, value in figures.items()},
            }
            rows.append(row)
            print(*(f"{name} {value}" for name, value in row.items()), sep=", ", flush=True)
    write_json(RESULT, {"builds": rows, "environment": asdict(environment())})


if __name__ == "__main__":
    main()
