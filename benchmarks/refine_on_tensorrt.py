"""Measure plain and refined INT8 on TensorRT, from our calibration caches, on a GPU.

Usage: python benchmarks/refine_on_tensorrt.py LFW --boxes BOXES.csv --mobilefacenet MODEL.onnx
           --network mobilefacenet [--methods plain refined live] [--strict-precision]
           [--draw 1] [--seconds 10]

Calibrates, and refines, on the CPU as `benchmarks/refine.py` does in the same draw, builds an INT8
engine from each cache and, for `live`, one that TensorRT calibrates by itself on the same crops,
and compares embeddings with those of OpenVINO in FP32: ACC, cosine and the share of multiply-adds
that ran in INT8. With `--strict-precision` every convolution is held to INT8; without, TensorRT
chooses. FPS is measured in windows that alternate with those of the plain engine, from crops in
host memory and with a batch that stays on the GPU.

Each row goes into benchmarks/results/refinement_tensorrt.json as soon as it is measured, beside
those that are there. A build takes minutes: run the networks, and both settings, by themselves.
What was calibrated, refined or built before an interruption is not repeated.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from json_file import write_json
from refine_cases import NETWORKS, Case, open_case
from refine_engines import BATCH, embeddings, fp32_engine, layers, speed_beside
from refine_figures import Row, figures

from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Engine
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.metrics.paired.median import Median, ratios
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.refinement import refine
from lfw_eval.pipelines.windows import ROUNDS, batches_of, in_turn
from lfw_eval.results.environment import environment
from lfw_eval.results.speed import FpsWindows
from lfw_eval.system.locks import locked

RESULT = Path(__file__).parent / "results" / "refinement_tensorrt.json"
CROPS = 512
METHODS = ("plain", "refined", "live")


def scales_of(method: str, case: Case, plain: Calibration) -> Calibration:
    """Return what the engine of a method takes its scales from."""
    return refine(case.checkpoint, plain) if method == "refined" else plain


def build(case: Case, method: str, scales: Calibration, *, strict: bool) -> Engine:
    """Build an engine; one that is not all INT8 although it is held to it is taken as it is."""
    options = TensorRTOptions(quantization="live" if method == "live" else "cache")
    choice = EngineChoice("tensorrt", "int8", BATCH, options=options, strict_precision=strict)
    spec = choice.spec(case.checkpoint, scales)
    return choice.engine_class().build(spec.request, spec.folder)


def resident_beside(reference: Engine, candidate: Engine, case: Case, seconds: float) -> Row:
    """Return FPS over a batch that stays on the GPU, in windows that alternate."""
    engines = reference, candidate
    batches = [batches_of(engine, case.crops[:BATCH], BATCH)[0] for engine in engines]
    windows: tuple[list[float], list[float]] = [], []
    for index in in_turn((0, 1), seconds, "measure resident FPS"):
        length = seconds / ROUNDS / len(engines)
        windows[index].append(engines[index].time_resident(batches[index], length).fps)
    beside, own = (FpsWindows.of(tuple(fps)) for fps in windows)
    ratio = Median.of(ratios(own.windows, beside.windows))
    return {"FPS": own.median, "FPS of plain beside": beside.median, **asdict(ratio)}


def measure(case: Case, options: argparse.Namespace, add: Callable[[str, Row], None]) -> None:
    """Measure all methods of a network in one setting."""
    *_, draw = case.draws(options.draw, CROPS)
    crops = case.store.crops[case.store.rows(draw.images.names)]
    calibration = calibrate(case.checkpoint, crops, draw.images)
    names, strict = case.pairs.names, options.strict_precision
    with fp32_engine(case) as engine:
        reference = embeddings(engine, case.crops)
    exact = figures(reference, reference, names, draw.pairs, case.pairs)
    add("fp32", {**exact, "runtime": engine.runtime(), "device": engine.device})
    with build(case, "plain", calibration, strict=strict) as plain:
        for method in options.methods:
            scales = scales_of(method, case, calibration)
            with build(case, method, scales, strict=strict) as engine:
                own = embeddings(engine, case.crops)
                row = figures(reference, own, names, draw.pairs, case.pairs) | layers(engine)
                speed = speed_beside(plain, engine, case.crops, options.seconds)
                row |= {
                    "FPS": speed.candidate.median,
                    "FPS of plain beside": speed.reference.median,
                    "FPS to plain": speed.ratio.value,
                    "interval of FPS to plain": speed.ratio.interval,
                    "resident": resident_beside(plain, engine, case, options.seconds),
                    "not in INT8": dict(engine.executed.not_int8) if engine.executed else {},
                    "build seconds": engine.build_seconds,
                    "runtime": engine.runtime(),
                    "device": engine.device,
                    "arithmetic": engine.arithmetic,
                    "hardware": engine.hardware(),
                    "git": environment().git,
                }
                if method == "refined" and scales.refinement:
                    row["refinement"] = asdict(scales.refinement)
            add(method, row)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", help="folder or .tgz, with its pairs")
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--mobilefacenet", type=Path, required=True)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--strict-precision", action="store_true")
    parser.add_argument("--draw", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="of each of a method's FPS")
    parser.add_argument("--quick", action="store_true", help="evaluate a few pairs")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    dataset = open_dataset(options.lfw, None)
    case = open_case(
        options.network, dataset, options.boxes, options.mobilefacenet, quick=options.quick
    )
    setting = "strict" if options.strict_precision else "free"
    own = {key: value for key, value in asdict(environment()).items() if key != "command"}

    def add(method: str, row: Row) -> None:
        with locked(options.output.with_suffix(".lock"), "writing these results"):
            earlier = options.output.read_text() if options.output.is_file() else "{}"
            networks: dict[str, Any] = json.loads(earlier).get("networks", {})
            settings = networks.setdefault(options.network, {})
            settings.setdefault(setting, {})[method] = {"draw": options.draw, **row}
            content = {"data": f"LFW, {len(dataset.pairs):,} pairs", "environment": own}
            write_json(options.output, content | {"networks": networks})
        shown = {key: round(value, 5) for key, value in row.items() if isinstance(value, float)}
        print(options.network, setting, method, shown, flush=True)

    measure(case, options, add)


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    main()
