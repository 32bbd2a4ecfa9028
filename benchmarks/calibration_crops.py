"""Measure how many crops calibration needs: ACC and cosine of INT8 with 32 to 1,024 of them.

Usage: python benchmarks/calibration_crops.py --dataset LFW --pairs PAIRS [--boxes CSV] [--draws N]

Calibrates on growing numbers of crops drawn at random, several times over, and evaluates INT8 on
OpenVINO each time. Prints the figures, and writes them and their chart to
benchmarks/results/calibration_crops.json and .svg.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

import altair as alt
import numpy as np
import onnx
import vl_convert
from json_file import write_json
from numpy.typing import NDArray

from calibration.activations import Observer
from calibration.scales import ScaleTable, observed_tensors, thresholds
from lfw_eval.checkpoints.checkpoint import DEFAULT, Checkpoint, open_checkpoint
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.datasets.alignment import BoxAlignment, MtcnnAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.registry import engine_class
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.verification import Protocol, verify
from lfw_eval.report.page.vega import VEGA_LITE
from lfw_eval.results.environment import environment
from lfw_eval.system.files import write_atomically

RESULT = Path(__file__).parent / "results" / "calibration_crops.json"
COUNTS = (32, 64, 128, 256, 512, 1024)
FIRST, BATCH = 64, 16


def tables(checkpoint: Checkpoint, crops: NDArray[np.uint8]) -> dict[int, ScaleTable]:
    """Scale tables of the first 32, 64, ... of the crops, each crop being seen once."""
    model = onnx.load(checkpoint.model)
    observer = Observer(accept_crops(model, checkpoint.normalisation), observed_tensors(model))
    batches = [{CROPS: crops[n : n + BATCH]} for n in range(0, len(crops), BATCH)]
    histograms = observer.empty_histograms(batches[: FIRST // BATCH])
    tables_by_count = {}
    for number, batch in enumerate(batches, start=1):
        observer.observe(batch, histograms)
        if number * BATCH in COUNTS:
            amax = thresholds(model, histograms, "entropy")
            tables_by_count[number * BATCH] = ScaleTable(amax, "entropy", "", "", number * BATCH)
    return tables_by_count


def draw_figure(rows: list[dict[str, float]], fp32: float, path: Path) -> None:
    """ACC and cosine over the number of crops, a dot per draw."""
    dots = alt.Chart(alt.Data(values=rows)).mark_point(filled=True, size=60, color="#0072b2")

    def over_crops(metric: str, title: str) -> alt.Chart:
        return dots.encode(
            x=alt.X(
                "crops:Q",
                title="crops calibrated on",
                scale=alt.Scale(type="log", base=2, padding=12, nice=False),
                axis=alt.Axis(values=COUNTS, format="d"),
            ),
            y=alt.Y(f"['{metric}']:Q", title=title, scale=alt.Scale(zero=False, padding=12)),
        ).properties(width=560, height=200)

    line = alt.Chart(alt.Data(values=[{"fp32": fp32}])).encode(y="fp32:Q")
    rule = line.mark_rule(strokeDash=[5, 3], color="#555555")
    name = line.mark_text(align="left", dx=4, dy=-7, text="FP32").encode(x=alt.value(0))
    above = over_crops("ACC", "ACC on LFW: INT8, a dot a draw") + rule + name
    chart = above & over_crops("mean cosine to FP32", "mean cosine to FP32")
    svg = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VEGA_LITE)
    write_atomically(path, svg.encode())


def main() -> None:
    """Measure, print, draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--draws", type=int, default=2)
    options = parser.parse_args()
    checkpoint = open_checkpoint(DEFAULT)
    dataset = open_dataset(options.dataset, options.pairs)
    alignment = BoxAlignment(options.boxes) if options.boxes else MtcnnAlignment()
    store = dataset.crop_store(alignment)
    engine = engine_class("openvino")

    with tempfile.TemporaryDirectory() as folder:
        plain = BuildRequest(checkpoint.model, checkpoint.normalisation, "fp32")
        with engine.build(plain, Path(folder)) as built:
            reference = embed(built, store, 64).values
        fp32 = verify(dataset, reference, Protocol()).accuracy.value
        rows = []
        for draw in range(options.draws):
            chosen = np.random.default_rng(draw).choice(len(store.names), COUNTS[-1], replace=False)
            for count, table in tables(checkpoint, store.crops[chosen]).items():
                request = BuildRequest(checkpoint.model, checkpoint.normalisation, "int8", table)
                with engine.build(request, Path(folder)) as built:
                    embeddings = embed(built, store, 64).values
                row = {
                    "crops": count,
                    "draw": draw,
                    "ACC": round(verify(dataset, embeddings, Protocol()).accuracy.value, 5),
                    "mean cosine to FP32": round(mean_cosine(reference, embeddings).value, 5),
                }
                print(row, flush=True)
                rows.append(row)
    content = {
        "data": f"{Path(options.dataset).name}, {len(store.names):,} images; calibrated on "
        "evaluated images",
        "engine": "OpenVINO",
        "FP32 ACC": round(fp32, 5),
        "INT8": rows,
        "environment": asdict(environment()),
    }
    write_json(RESULT, content)
    draw_figure(rows, fp32, RESULT.with_suffix(".svg"))


if __name__ == "__main__":
    main()
