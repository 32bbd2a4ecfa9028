"""Measure TensorRT in FP32, FP16 and INT8, and PyTorch, on NVIDIA GPUs in one go.

Usage: python benchmarks/gpu_speed.py [--dataset D] [--boxes CSV] [--calibration-list FILE]
                                      [--gpus 0,1] [--pytorch PYTHON] [--level 5] [--output JSON]
                                      [--seconds 3] [--runs FOLDER]

A measurement is a run of `lfw-eval benchmark` or `evaluate` on one GPU; several GPUs take the
runs from one queue. PYTHON is an interpreter with PyTorch; without it, PyTorch is skipped. Prints
the ratios, and writes benchmarks/results/gpu_speed.json: frames per second of the engine alone and
end to end, by batch size and by streams, the share of the chip's peak, ACC beside the golden
results, and the seconds from crops in memory to printed metrics.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import onnx
from json_file import write_json

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.engines.contract import STREAMS

RESULT = Path(__file__).parent / "results" / "gpu_speed.json"
COMMAND = [sys.executable, "-m", "lfw_eval"]
SWEEP = "1,2,4,8,16,32,64,128,512,1024"
OWN = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
# Dense, in 1e12 operations a second, by NVIDIA's datasheets.
PEAKS = {"NVIDIA H200": {"int8": 1979.0, "fp16": 989.5}}


@dataclass(frozen=True)
class Run:
    """One run of a command, on whichever GPU is free; `then` follow on the same one."""

    name: str
    command: list[str]
    then: tuple["Run", ...] = ()


def operations(model: onnx.ModelProto) -> float:
    """Multiplications and additions of one image, in all convolutions and dense layers."""
    model = onnx.shape_inference.infer_shapes(model)
    shapes = {
        info.name: [d.dim_value for d in info.type.tensor_type.shape.dim]
        for info in (*model.graph.value_info, *model.graph.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            size = 1
            for dimension in weights[node.input[1]]:
                size *= dimension
            for dimension in shapes[node.output[0]][2:]:
                size *= dimension
            total += 2 * size
    return float(total)


def runs(options: argparse.Namespace, model: Path, folder: Path) -> list[Run]:
    """All measurements, the longest first."""
    data = []
    for name in ("dataset", "boxes", "calibration_list"):
        if value := getattr(options, name):
            data += [f"--{name.replace('_', '-')}", str(value)]
    shared = [*data, "--engine", "tensorrt", "--optimization-level", str(options.level)]
    timed = ["--seconds", str(options.seconds)]

    def benchmark(precision: str, batch: int, *more: str, name: str = "") -> list[str]:
        output = ["--output", str(folder / f"{name or f'{precision} {batch}'}.json")]
        command = ["benchmark", *shared, *timed, "--precision", precision, "--bs", str(batch)]
        return [*COMMAND, *command, *more, *output]

    def accuracy(precision: str) -> Run:
        name = f"accuracy {precision}"
        own = ["--precision", precision, "--output", str(folder / f"{name}.json")]
        return Run(name, [*COMMAND, "evaluate", *shared, "--seconds", "0", *own])

    # What follows finds the plans that were built before it: streams are no part of them.
    streams = [
        Run(name, benchmark("int8", 64, "--streams", str(n), name=name))
        for n in (1, 2, 4, 8)
        for name in [f"int8 64, {n} streams"]
    ]
    seconds = Run(
        "whole run",
        [sys.executable, str(Path(__file__).with_name("accuracy_seconds.py")), *shared],
    )
    after = (*streams, accuracy("int8"), seconds)
    measurements = [
        Run("int8 256", benchmark("int8", 256, "--sweep", SWEEP)),
        Run("int8 64", benchmark("int8", 64, "--threads", "8"), after),
        Run("fp16 64", benchmark("fp16", 64), (accuracy("fp16"),)),
        Run("fp16 256", benchmark("fp16", 256)),
        Run("fp32 64", benchmark("fp32", 64)),
    ]
    if options.pytorch:
        script = str(Path(__file__).with_name("pytorch_speed.py"))
        measurements.append(Run("pytorch", [options.pytorch, script, str(model), "64", "256"]))
    return measurements


def execute(run: Run, gpu: int, folder: Path) -> None:
    """Run on a GPU, and what follows on the same."""
    path = folder / f"{run.name}.json"
    if not path.is_file():
        print(f"GPU {gpu}: {run.name}", flush=True)
        # The interpreter with PyTorch brings its own libraries.
        environment = {k: v for k, v in os.environ.items() if run.name != "pytorch" or k not in OWN}
        done = subprocess.run(
            run.command,
            env={**environment, "CUDA_VISIBLE_DEVICES": str(gpu)},
            capture_output=True,
            text=True,
        )
        print(f"GPU {gpu}: {run.name}\n{done.stdout}{done.stderr[-2000:]}", flush=True)
        if done.returncode:
            return
        if not path.is_file():
            path.write_text(done.stdout.strip().rpartition("\n")[2])
    for following in run.then:
        execute(following, gpu, folder)


def summary(folder: Path, work: float) -> dict[str, Any]:
    """Gather what the runs wrote."""
    speeds, accuracies = {}, {}
    summary_of_runs: dict[str, Any] = {"operations_per_image": work}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        if path.stem.startswith("accuracy"):
            accuracies[path.stem] = _accuracy(content["result"])
        elif "result" in content:
            speeds[path.stem] = _speed(content["result"], work)
            summary_of_runs["environment"] = content["environment"]
        else:
            summary_of_runs[path.stem] = content
    if peer := summary_of_runs.get("pytorch"):
        best = {b: max(kind[b] for kind in peer["fps"].values()) for b in ("64", "256")}
        summary_of_runs["tensorrt / fastest pytorch"] = {
            f"{precision} {batch}": round(speeds[f"{precision} {batch}"]["engine_fps"] / fps, 2)
            for batch, fps in best.items()
            for precision in ("fp16", "int8")
            if f"{precision} {batch}" in speeds
        }
    return {"speed": speeds, "accuracy": accuracies, **summary_of_runs}


def _speed(result: dict[str, Any], work: float) -> dict[str, Any]:
    engine = result["engines"][result["judged_index"]]
    first = engine["speeds"][0]
    description = engine["engine"]
    peaks = PEAKS.get(description["device"], {})
    peak = peaks.get(description["precision"])
    figures = {
        "engine_fps": round(first["engine_fps"]),
        "engine_latency_ms": first["engine_latency_ms"],
        "end_to_end_fps": round(first["end_to_end_fps"]),
        "end_to_end_share": round(first["end_to_end_fps"] / first["engine_fps"], 3),
        "threads_fps": first["threads_fps"],
        "build_seconds": round(engine["build_seconds"], 1),
        "plan_mb": round(description["size"] / 1e6, 1),
        "runtime": description["runtime"],
        "device": description["device"],
        "hardware": engine["hardware"],
    }
    if peak:
        figures["share_of_peak"] = round(first["engine_fps"] * work / peak / 1e12, 4)
    if len(engine["speeds"]) > 1:
        figures["sweep"] = {
            str(speed["batch_size"]): {
                "engine_fps": round(speed["engine_fps"]),
                "p50_ms": round(speed["engine_latency_ms"]["p50"], 4),
                "p99_ms": round(speed["engine_latency_ms"]["p99"], 4),
                "end_to_end_fps": round(speed["end_to_end_fps"]),
                "share_of_peak": round(speed["engine_fps"] * work / peak / 1e12, 4) if peak else 0,
            }
            for speed in sorted(engine["speeds"], key=lambda speed: speed["batch_size"])
        }
    return figures


def _accuracy(result: dict[str, Any]) -> dict[str, Any]:
    accuracies = {}
    for run in (result["reference"], result["candidate"]):
        outcome = run["verification"]
        accuracies[run["engine"]["precision"]] = {
            "ACC": round(outcome["accuracy"]["value"], 5),
            "std": round(outcome["accuracy"]["std"], 5),
            "AUC": round(outcome["auc"]["value"], 5),
            "arithmetic": run["engine"]["arithmetic"],
        }
    accuracies["mean cosine"] = round(result["cosine"]["value"], 5)
    return accuracies


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--calibration-list", type=Path)
    parser.add_argument("--gpus", default="0")
    parser.add_argument("--pytorch")
    parser.add_argument("--level", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="For each measurement.")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--runs", type=Path, help="Folder of single results; those are not redone.")
    options = parser.parse_args()
    model = open_checkpoint(DEFAULT).model
    gpus: Queue[int] = Queue()
    for number in options.gpus.split(","):
        gpus.put(int(number))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.runs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)

        def on_a_gpu(run: Run) -> None:
            gpu = gpus.get()
            try:
                execute(run, gpu, folder)
            finally:
                gpus.put(gpu)

        with ThreadPoolExecutor(gpus.qsize()) as pool:
            list(pool.map(on_a_gpu, runs(options, model, folder)))
        measured = summary(folder, operations(onnx.load(model)))
    print(
        write_json(
            options.output,
            {"level": options.level, "seconds": options.seconds, "streams": STREAMS, **measured},
        )
    )


if __name__ == "__main__":
    main()
