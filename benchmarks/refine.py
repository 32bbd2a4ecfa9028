"""Compare our plain and refined INT8 with that of other tools: accuracy, cosine, cost and speed.

Usage: python benchmarks/refine.py LFW --boxes BOXES.csv --mobilefacenet MODEL.onnx
           [--networks facenet mobilefacenet] [--methods plain refined ...] [--draws 3]
           [--parts accuracy speed] [--peer-python PYTHON] [--modelopt-python PYTHON]
           [--golden GOLDEN] [--quick]

Every method quantises FaceNet (crops around boxes) and MobileFaceNet (five-point crops) from the
same crops, once per draw, in a process of its own; NNCF with accuracy control in the first draw
alone. All run on OpenVINO, and what ONNX Runtime's quantiser writes first, there too. A draw
calibrates on people of one fold of LFW's pairs, and is evaluated on the pairs of the other nine,
which show other people; `ACC of all pairs` includes those calibrated on. FPS is measured in windows
that alternate with those of our plain INT8, on the first draw.

Peers run in environments of their own, which `--peer-python` (extra `peers`) and
`--modelopt-python` (extra `peers-modelopt`) name; GOLDEN holds embeddings of a TensorRT 8.6 that
calibrated by itself. Each figure goes into benchmarks/results/refinement.json as soon as it is
measured, beside those that are there, so that parts can be run separately. `--quick` takes a few
pairs, 64 crops and one draw, and writes refinement.json into the folder `--work`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fresh_process import in_fresh_process
from json_file import write_json
from numpy.typing import NDArray
from refine_cases import NETWORKS, Case, Draw, open_case
from refine_engines import (
    embeddings,
    fp32_engine,
    int8_engine,
    layers,
    normalised,
    speed_beside,
)
from refine_figures import Row, figures, ranges
from refine_golden import golden_figures
from refine_ours import OURS, measured
from refine_peer import PEERS

from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.contract import Engine
from lfw_eval.results.environment import environment
from lfw_eval.system.locks import locked

RESULT = Path(__file__).parent / "results" / "refinement.json"
PEER = Path(__file__).parent / "refine_peer.py"
GOLDEN = "tensorrt"
METHODS = (*OURS, *PEERS, GOLDEN)
CROPS, QUICK_CROPS = 512, 64
HISTOGRAM_CROPS = 128
"""ONNX Runtime's histograms are of all activations of all crops, which it holds in memory."""
HISTOGRAMS = ("onnxruntime-entropy", "onnxruntime-percentile")
FIRST_DRAW = ("nncf-accuracy",)
"""Takes tens of minutes on FaceNet."""


class Results:
    """The result file, in which each row takes its place as soon as it is measured."""

    def __init__(self, path: Path, about: Row) -> None:
        self._path = path
        self._about = about

    def add(self, network: str, method: str, draw: str, row: Row) -> None:
        """Put the row of a draw among the others, and the ranges over draws beside them."""
        with locked(self._path.with_suffix(".lock"), "writing these results"):
            content = self._read()
            methods = content["networks"].setdefault(network, {})
            draws = methods.setdefault(method, {}).get("draws", {})
            draws[draw] = draws.get(draw, {}) | row
            methods[method] = {**ranges(draws), "draws": dict(sorted(draws.items()))}
            write_json(self._path, content)
        shown = {key: value for key, value in row.items() if isinstance(value, int | float)}
        print(network, draw, method, {k: round(v, 5) for k, v in shown.items()}, flush=True)

    def _read(self) -> dict[str, Any]:
        earlier = json.loads(self._path.read_text()) if self._path.is_file() else {}
        return self._about | {"networks": earlier.get("networks", {})}


class Comparison:
    """What is measured of a network, all of it beside FP32 on OpenVINO.

    Args:
        work: Where quantised networks and embeddings go.
    """

    def __init__(self, case: Case, options: argparse.Namespace, results: Results) -> None:
        self._case = case
        self._options = options
        self._results = results
        self._work: Path = options.work / case.name

    def accuracy(self, methods: Sequence[str]) -> None:
        """Quantise and evaluate by every method, draw by draw."""
        case = self._case
        reference = self._reference()
        crops = QUICK_CROPS if self._options.quick else CROPS
        for draw in case.draws(self._options.draws, crops):
            exact = figures(reference, reference, case.pairs.names, draw.pairs, case.pairs)
            self._results.add(case.name, "fp32", str(draw.number), exact)
            for method in methods:
                if method in FIRST_DRAW and draw.number > 1:
                    continue
                if method == GOLDEN:
                    golden = golden_figures(self._options.golden, draw.pairs, case.pairs)
                    self._results.add(case.name, method, str(draw.number), golden)
                    continue
                about = self._quantise(method, draw)
                self._results.add(
                    case.name, method, str(draw.number), about | self._evaluate(method, draw)
                )

    def speed(self, methods: Sequence[str]) -> None:
        """Time FP32 and every method beside our plain INT8, on the networks of the first draw."""
        case, first = self._case, "1"
        with int8_engine(case, self._file("plain", first)) as reference:
            for method in ("fp32", *methods):
                if method == GOLDEN:
                    continue
                with self._engine(method, first) as candidate:
                    speed = speed_beside(reference, candidate, case.crops, self._options.seconds)
                row = {
                    "FPS": speed.candidate.median,
                    "FPS of plain beside": speed.reference.median,
                    "FPS to plain": speed.ratio.value,
                    "interval of FPS to plain": speed.ratio.interval,
                    "load": asdict(speed.load),
                }
                self._results.add(case.name, method, first, row)

    def _engine(self, method: str, draw: str) -> Engine:
        if method == "fp32":
            return fp32_engine(self._case)
        return int8_engine(self._case, self._file(method, draw))

    def _reference(self) -> NDArray[np.float32]:
        with fp32_engine(self._case) as engine:
            path = self._work / f"fp32-{engine.key}-{len(self._case.rows)}.npy"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, embeddings(engine, self._case.crops))
        reference: NDArray[np.float32] = np.load(path)
        return reference

    def _quantise(self, method: str, draw: Draw) -> Row:
        """Quantise in a process of its own; return what it cost."""
        case, out = self._case, self._work / str(draw.number) / method
        out.mkdir(parents=True, exist_ok=True)
        crops = case.store.crops[case.store.rows(draw.images.names)]
        if method in OURS:
            about: Row = in_fresh_process(
                measured, method, case.checkpoint, crops, draw.images, out
            )
        else:
            images = normalised(case, crops[: HISTOGRAM_CROPS if method in HISTOGRAMS else None])
            np.save(out / "images.npy", images)
            python = self._options.peer_python
            if method.startswith("modelopt"):
                python = self._options.modelopt_python
            command = [python, PEER, method, case.checkpoint.model, out / "images.npy", out]
            # Neither this checkout nor its environment may stand before the peer's.
            own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=own)
            about = json.loads(done.stdout.splitlines()[-1])
            (out / "images.npy").unlink()
            crops = crops[: len(images)]
        (out / "about.json").write_text(json.dumps(about))
        calibration = {
            "crops": len(crops),
            "people": draw.images.people,
            "evaluated crops": draw.images.evaluated,
            "evaluated people": draw.images.evaluated_people,
        }
        return about | {"calibration": calibration, "git": environment().git}

    def _evaluate(self, method: str, draw: Draw) -> Row:
        case, file = self._case, self._file(method, str(draw.number))
        with int8_engine(case, file) as engine:
            candidate = embeddings(engine, case.crops)
            row = layers(engine) | {"adaptation": engine.adaptation}
        row |= figures(self._reference(), candidate, case.pairs.names, draw.pairs, case.pairs)
        if method.startswith("onnxruntime") and draw.number == 1:
            with int8_engine(case, file, "onnxruntime") as engine:
                own = embeddings(engine, case.crops)
            names = case.pairs.names
            row["on ONNX Runtime"] = figures(self._reference(), own, names, draw.pairs, case.pairs)
        return row

    def _file(self, method: str, draw: str) -> Path:
        folder = self._work / draw / method
        about: Row = json.loads((folder / "about.json").read_text())
        return folder / str(about["file"])


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", help="folder or .tgz, with its pairs")
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--mobilefacenet", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument(
        "--parts", nargs="+", choices=["accuracy", "speed"], default=["accuracy", "speed"]
    )
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--modelopt-python", default=sys.executable)
    parser.add_argument("--golden", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="of each method's FPS")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "lfw-eval-refine"
    )
    options = parser.parse_args()
    if options.quick:
        options.draws = 1
    dataset = open_dataset(options.lfw, None)
    own = {key: value for key, value in asdict(environment()).items() if key != "command"}
    about = {"data": f"LFW, {len(dataset.pairs):,} pairs", "engine": "OpenVINO", "environment": own}
    options.work.mkdir(parents=True, exist_ok=True)
    output = options.work / RESULT.name if options.quick else RESULT
    results = Results(output, about)
    for name in options.networks:
        methods = [m for m in options.methods if m != GOLDEN]
        if options.golden and name == "facenet" and GOLDEN in options.methods:
            methods.append(GOLDEN)
        case = open_case(name, dataset, options.boxes, options.mobilefacenet, quick=options.quick)
        comparison = Comparison(case, options, results)
        if "accuracy" in options.parts:
            comparison.accuracy(methods)
        if "speed" in options.parts:
            comparison.speed(methods)
    print(output)


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    main()
