"""Compare the calibrator with a bare FP32 pass, ONNX Runtime's calibrator and NNCF, in one run.

Usage: python benchmarks/calibrator.py --dataset LFW --pairs PAIRS [--boxes CSV] [--peers]

Prints, and writes to benchmarks/results/calibrator.json:

- for 64 to 2,048 crops, seconds and peak memory of calibration (observation and thresholds) and of
  FP32 forward passes alone, in batches of the same size, all in processes of their own;
- with `--peers`, ONNX Runtime's entropy calibration of 256 crops, and INT8 by NNCF (its own
  `quantize`, 512 crops) beside ours on OpenVINO: images per second of the engine, ACC on LFW and
  cosine to FP32.

`--peers` needs the extra of that name, and 16 GB of memory for ONNX Runtime's calibrator.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from json_file import write_json
from numpy.typing import NDArray

from calibration.quantize import QdqTypes, quantize
from calibration.sampler import CalibrationList, draw_images
from lfw_eval.checkpoints.checkpoint import DEFAULT, Checkpoint, open_checkpoint
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.datasets.alignment import BoxAlignment, MtcnnAlignment
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.calibration import calibrate
from lfw_eval.pipelines.verification import Protocol, verify
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "calibrator.json"
COUNTS = (64, 256, 512, 1024, 2048)
BATCH = 16
Crops = NDArray[np.uint8]


def network(checkpoint: Checkpoint) -> onnx.ModelProto:
    """The FP32 network from uint8 crops on."""
    return accept_crops(onnx.load(checkpoint.model), checkpoint.normalisation)


def ours(checkpoint: Checkpoint, crops: Crops, names: tuple[str, ...]) -> None:
    """Calibrate from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        images = CalibrationList(names, "benchmark", 0)
        calibrate(replace(checkpoint, folder=Path(folder)), crops, images)


def forward(checkpoint: Checkpoint, crops: Crops) -> None:
    """FP32 passes and nothing else."""
    session = onnxruntime.InferenceSession(network(checkpoint).SerializeToString())
    for start in range(0, len(crops), BATCH):
        session.run(None, {CROPS: crops[start : start + BATCH]})


def runtime_entropy(checkpoint: Checkpoint, crops: Crops) -> None:
    """ONNX Runtime's entropy calibration, as its quantiser calls it."""
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import CalibrationDataReader, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(crops), BATCH)
            self._batches = iter([{CROPS: crops[start : start + BATCH]} for start in starts])

        def get_next(self) -> dict[str, Crops] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fp32.onnx"
        onnx.save(network(checkpoint), path)
        calibrator = create_calibrator(
            path,
            ["Conv", "Gemm", "Add", "Concat"],
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Entropy,
        )
        calibrator.collect_data(Reader())
        calibrator.compute_data()


def worker(kind: str, checkpoint: Checkpoint, crops: Crops, names: tuple[str, ...]) -> None:
    """Print seconds and peak memory, without the crops themselves, of one measurement as JSON."""
    start = time.perf_counter()
    if kind == "ours":
        ours(checkpoint, crops, names)
    elif kind == "forward":
        forward(checkpoint, crops)
    else:
        runtime_entropy(checkpoint, crops)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"seconds": round(seconds, 2), "peak MiB": round(peak - crops.nbytes / 2**20)})
    )


def measure(kind: str, count: int) -> dict[str, float]:
    """Run `worker` in a process of its own."""
    command = [sys.executable, *sys.argv, "--worker", kind, "--count", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measurement: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{kind:>16} {count:5} crops: {measurement}", flush=True)
    return measurement


def accuracy(
    model: openvino.Model, dataset: Dataset, store: CropStore, fp32: NDArray[np.float32]
) -> dict[str, float]:
    """ACC, cosine and images per second of the engine alone, on OpenVINO."""
    compiled = openvino.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    queue = openvino.AsyncInferQueue(compiled)
    embeddings = np.empty_like(fp32)

    def keep(request: openvino.InferRequest, start: int) -> None:
        embeddings[start : start + 64] = request.get_output_tensor(0).data

    queue.set_callback(keep)
    begin = time.perf_counter()
    for start in range(0, len(embeddings), 64):
        queue.start_async({0: np.ascontiguousarray(store.crops[start : start + 64])}, start)
    queue.wait_all()
    seconds = time.perf_counter() - begin
    return {
        "images per second": round(len(embeddings) / seconds, 1),
        "ACC": round(verify(dataset, embeddings, Protocol()).accuracy.value, 5),
        "mean cosine to FP32": round(mean_cosine(fp32, embeddings).value, 5),
    }


def beside_nncf(checkpoint: Checkpoint, dataset: Dataset, store: CropStore) -> dict[str, Any]:
    """INT8 of the same network by NNCF and by us, from the same 512 crops."""
    import nncf

    names = draw_images(store.names, 512)
    crops = store.crops[store.rows(names)]
    session = onnxruntime.InferenceSession(network(checkpoint).SerializeToString())
    starts = range(0, len(store.names), 64)
    fp32 = np.concatenate([session.run(None, {CROPS: store.crops[s : s + 64]})[0] for s in starts])
    with tempfile.TemporaryDirectory() as folder:
        copy = replace(checkpoint, folder=Path(folder))
        begin = time.perf_counter()
        table = calibrate(copy, crops, CalibrationList(names, "benchmark", 0)).table
        ours_seconds = time.perf_counter() - begin
        quantized = quantize(onnx.load(checkpoint.model), table, QdqTypes(unsigned=True))
        path = Path(folder) / "ours.onnx"
        onnx.save(accept_crops(quantized, checkpoint.normalisation), path)
        mine = openvino.Core().read_model(path)
        onnx.save(network(checkpoint), path)
        plain = openvino.Core().read_model(path)
        begin = time.perf_counter()
        data = nncf.Dataset([crops[n : n + 1] for n in range(len(crops))])
        theirs = nncf.quantize(plain, data, subset_size=len(crops))
        nncf_seconds = time.perf_counter() - begin
    rows = {"ours": {"calibration s": round(ours_seconds, 1)}}
    rows["NNCF"] = {"calibration s": round(nncf_seconds, 1)}
    # Twice, taking turns: the second round is kept, the first has the runtime's warm-up in it.
    for _ in range(2):
        rows["ours"] |= accuracy(mine, dataset, store, fp32)
        rows["NNCF"] |= accuracy(theirs, dataset, store, fp32)
    return {**rows, "versions": {"nncf": nncf.__version__, "openvino": openvino.__version__}}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    checkpoint = open_checkpoint(DEFAULT)
    dataset = open_dataset(options.dataset, options.pairs)
    alignment = BoxAlignment(options.boxes) if options.boxes else MtcnnAlignment()
    store = dataset.crop_store(alignment)
    if options.worker:
        names = draw_images(store.names, options.count)
        crops = store.crops[store.rows(names)]
        # Its pages would count as this process's memory.
        del store
        worker(options.worker, checkpoint, crops, names)
        return

    rows: dict[int, dict[str, Any]] = {}
    for count in COUNTS:
        alone, calibrated = measure("forward", count), measure("ours", count)
        ratio = round(calibrated["seconds"] / alone["seconds"], 2)
        rows[count] = {"forward": alone, "calibration": calibrated, "ratio": ratio}
    content: dict[str, Any] = {
        "batch": BATCH,
        "crops": rows,
        "growth of peak memory, 64 to 2,048 crops, MiB": rows[COUNTS[-1]]["calibration"]["peak MiB"]
        - rows[COUNTS[0]]["calibration"]["peak MiB"],
    }
    if options.peers:
        peer = measure("onnxruntime", 256)
        faster = round(peer["seconds"] / rows[256]["calibration"]["seconds"], 2)
        content["ONNX Runtime's entropy, 256 crops"] = {**peer, "times our time": faster}
        content["INT8 on OpenVINO"] = beside_nncf(checkpoint, dataset, store)
    content |= {"onnxruntime": onnxruntime.__version__, "environment": asdict(environment())}
    print(write_json(RESULT, content))


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    main()
