"""Compare a Triton server with the same network in this process, by batch and requests in flight.

Usage: PYTHONPATH=tests/rigs python benchmarks/triton_speed.py [--dataset D] [--boxes CSV]
                                                                [--seconds 2]

The server is NVIDIA's, out of the wheel of nvidia-pytriton, which the tests fetch as well; its
Python backend runs FaceNet's exported INT8 network on ONNX Runtime, as this process does, one
instance, requests joined up to 64 crops. In this process as many threads share the session as
requests are in flight there. Server and client share this machine's cores. A second model returns
zeros without computing: what transport alone costs. Prints crops per
second and ratios, and writes them to benchmarks/results/triton_speed.json.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
from json_file import write_json
from numpy.typing import NDArray
from triton_rig.installation import installation  # type: ignore[import-not-found]
from triton_rig.server import Server, deploy  # type: ignore[import-not-found]
from tritonclient.grpc.model_config_pb2 import ModelConfig

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.datasets.alignment import BoxAlignment, MtcnnAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import BuildRequest, Engine
from lfw_eval.engines.onnxruntime import OnnxRuntimeEngine
from lfw_eval.engines.triton.engine import TritonEngine
from lfw_eval.engines.triton.options import TritonOptions
from lfw_eval.engines.triton.repository import served_model, write_models
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_job
from lfw_eval.pipelines.speed import shared_fps
from lfw_eval.pipelines.windows import batches_of, frames_per_second
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "triton_speed.json"
BATCHES = (1, 8, 32, 64)
UNDER_WAY = (1, 2, 4, 8)
SWEPT = ("batch", "under way")


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset")
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()

    dataset = open_dataset(options.dataset, None)
    alignment = BoxAlignment(options.boxes) if options.boxes else MtcnnAlignment(32)
    job = Job(dataset, alignment, open_checkpoint(DEFAULT), EngineChoice("onnxruntime", "int8"))
    crops = dataset.crop_store(alignment).crops[:2048]
    spec = job.engine.spec(job.checkpoint, calibrate_job(job))
    request = spec.request
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        served = served_model("facenet", spec)
        (version,) = write_models([served], folder / "exported")
        deploy(version.parent, folder / "models")
        deploy(version.parent, folder / "models", "nothing", _named_nothing)
        session = onnxruntime.InferenceSession(
            version / "model.onnx", providers=["CPUExecutionProvider"]
        )
        own = OnnxRuntimeEngine(session, request, key="")
        server = Server(installation(), folder / "models")
        try:
            with opened(server.address("facenet"), request, 1) as engine:
                device = engine.device
                batch = {own.inputs[0].name: crops[:64]}
                (here,), (there,) = own.run(batch).values(), engine.run(batch).values()
            rows = list(rates(own, server, request, crops, options.seconds))
        finally:
            server.kill()

    best = {name: max(row[name] for row in rows) for name in rows[0] if name not in SWEPT}
    ratios = {
        f"{name} / in process": statistics.median(row[name] / row["in process"] for row in rows)
        for name in ("grpc", "http")
    }
    for name, rate in best.items():
        print(f"best, {name:<20}{rate:10,.1f} crops/s")
    for name, ratio in ratios.items():
        print(f"median of rows, {name:<20}{ratio:6.3f}")
    content = {
        "data": dataset.title,
        "network": "facenet-keras, INT8 as Q/DQ, on ONNX Runtime in both",
        "server": device,
        "mean_cosine": mean_cosine(here, there).value,
        "seconds": options.seconds,
        "crops_per_second": rows,
        "best": best,
        "median_ratios": ratios,
        "runtimes": [own.runtime(), TritonEngine.runtime()],
        "environment": asdict(environment()),
    }
    write_json(RESULT, content)


def rates(
    own: Engine,
    server: Server,
    request: BuildRequest,
    crops: NDArray[np.uint8],
    seconds: float,
) -> Iterator[dict[str, float]]:
    """Yield crops per second of all, for each batch size and number of requests under way."""
    print(f"{'batch':>6}{'under way':>10}{'in process':>12}", end="")
    print("".join(f"{name:>16}" for name in ("grpc", "http", "nothing, grpc", "nothing, http")))
    for size, streams in product(BATCHES, UNDER_WAY):
        batches = batches_of(own, crops, size)
        row = {SWEPT[0]: float(size), SWEPT[1]: float(streams)}
        # One after the other, so that a change of the machine's load meets all.
        row["in process"] = shared_fps(own, batches, size, streams, seconds)
        for model, prefix in (("facenet", ""), ("nothing", "nothing, ")):
            for protocol in ("grpc", "http"):
                with opened(server.address(model, protocol), request, streams) as engine:
                    engine.run(batches[0])
                    rate = frames_per_second(engine, batches, size, seconds)
                row[f"{prefix}{protocol}"] = rate
        cells = "".join(f"{rate:16,.1f}" for rate in list(row.values())[3:])
        print(f"{size:6}{streams:10}{row['in process']:12,.1f}{cells}", flush=True)
        yield row


def opened(address: str, request: BuildRequest, streams: int) -> Engine:
    """Connect to a model of the server."""
    options = TritonOptions(address, streams)
    return TritonEngine.build(replace(request, options=options), request.model.parent)


def _named_nothing(config: ModelConfig) -> None:
    config.name = "nothing"


if __name__ == "__main__":
    main()
