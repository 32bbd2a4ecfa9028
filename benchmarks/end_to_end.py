"""Time INT8 on OpenVINO beside FP32 on ONNX Runtime, from crop store to metrics, in one run.

Usage: python benchmarks/end_to_end.py [--dataset D] [--boxes CSV] [--bs N] [--rounds N]

Prints, and writes to benchmarks/results/end_to_end.json, the images per second of both, of FP32 as
it is usually written (crops normalised in NumPy, then ONNX Runtime), of the INT8 engine alone (one
batch that stays in memory), and their ratios. They take turns, so that a change in the machine's
clock or load affects all; medians are over the rounds.
"""

import argparse
import statistics
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
from json_file import write_json

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.datasets.alignment import BoxAlignment, MtcnnAlignment
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Engine
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_job
from lfw_eval.pipelines.verification import Protocol, verify
from lfw_eval.pipelines.windows import frames_per_second
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "end_to_end.json"


def evaluation_rate(engine: Engine, dataset: Dataset, store: CropStore, batch_size: int) -> float:
    """Images per second from the crop store to ACC and all other metrics."""
    start = time.perf_counter()
    embeddings = embed(engine, store, batch_size)
    verify(dataset, embeddings.values, Protocol())
    return len(store.names) / (time.perf_counter() - start)


def usual_rate(
    session: onnxruntime.InferenceSession, dataset: Dataset, store: CropStore, batch_size: int
) -> float:
    """Images per second with per-image normalisation in NumPy, as scripts around FaceNet do it."""
    start = time.perf_counter()
    (source,) = session.get_inputs()
    embeddings = []
    for first in range(0, len(store.names), batch_size):
        crops = store.crops[first : first + batch_size].astype(np.float32)
        mean = crops.mean(axis=(1, 2, 3), keepdims=True)
        std = np.maximum(crops.std(axis=(1, 2, 3), keepdims=True), 1 / np.sqrt(crops[0].size))
        images = ((crops - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
        embeddings.append(session.run(None, {source.name: images})[0])
    verify(dataset, np.concatenate(embeddings), Protocol())
    return len(store.names) / (time.perf_counter() - start)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset")
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--bs", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    dataset = open_dataset(options.dataset, None)
    alignment = BoxAlignment(options.boxes) if options.boxes else MtcnnAlignment(32)
    checkpoint = open_checkpoint(DEFAULT)
    fp32 = Job(dataset, alignment, checkpoint, EngineChoice("onnxruntime", "fp32"))
    int8 = Job(dataset, alignment, checkpoint, EngineChoice("openvino", "int8"))
    store = dataset.crop_store(alignment)
    names = ("fp32, NumPy", "fp32", "int8", "int8 engine only")
    rates: dict[str, list[float]] = {name: [] for name in names}
    session = onnxruntime.InferenceSession(checkpoint.model, providers=["CPUExecutionProvider"])
    with (
        fp32.engine.build(checkpoint) as slow,
        int8.engine.build(checkpoint, calibrate_job(int8)) as fast,
    ):
        batch = {fast.inputs[0].name: store.crops[: options.bs]}
        for _ in range(options.rounds):
            rates["fp32, NumPy"].append(usual_rate(session, dataset, store, options.bs))
            rates["fp32"].append(evaluation_rate(slow, dataset, store, options.bs))
            rates["int8"].append(evaluation_rate(fast, dataset, store, options.bs))
            rates["int8 engine only"].append(
                frames_per_second(fast, [batch], options.bs, seconds=20)
            )
        runtimes = {"fp32": slow.runtime(), "int8": fast.runtime()}

    median = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        "int8 / fp32": median["int8"] / median["fp32"],
        "int8 / fp32, NumPy": median["int8"] / median["fp32, NumPy"],
        "int8 / int8 engine only": median["int8"] / median["int8 engine only"],
    }
    for name, value in median.items():
        print(f"{name:<26}{value:8.1f} images/s  {[round(rate, 1) for rate in rates[name]]}")
    for name, ratio in ratios.items():
        print(f"{name:<26}{ratio:8.2f}")
    content = {
        "data": dataset.title,
        "images": len(store.names),
        "batch": options.bs,
        "images_per_second": median,
        "rounds": rates,
        "ratios": ratios,
        "runtimes": runtimes,
        "environment": asdict(environment()),
    }
    write_json(RESULT, content)


if __name__ == "__main__":
    main()
