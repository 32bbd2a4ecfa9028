"""Measure photographs per second on GPUs: JPEG in the host's memory to embeddings there.

Usage: python benchmarks/photographs_per_second.py lfw.tgz [--wider wider.tgz] [--lanes 2,4,6]
           [--precisions fp16,int8] [--level N] [--photographs 4096] [--seconds 2] [--rounds 3]
           [--peer-python PYTHON] [--skip stages,boxes,gpus,accuracy,peer] [--output JSON]

LFW's photographs are enlarged to 250x250, WIDER's stretched to mixed sizes, both in JPEG of
quality 90. Everything is measured in one run, in rounds that take turns, of which the medians
count: the whole chain by precision of FaceNet's engine and number of lanes; decoding, detection,
crop and embedding by themselves; the boxes beside the CPU's; the chain on 1, 2, 4... GPUs at once,
a process on each, and on all in one process; LFW from the archive to the printed table, by the
command, in fresh processes that find engines but no crops; and facenet-pytorch on the first GPU, by
PYTHON, in which PyTorch, torchvision and facenet-pytorch can be imported. Prints, and writes
benchmarks/results/photographs_per_second.json.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_from_photographs import accuracy_on_cpu_crops, accuracy_runs
from json_file import write_json
from peer_on_photographs import measure_peer
from photograph_chain import Chain, rate_here, rate_on_gpus, spec_of
from photograph_sets import (
    LFW_SIDE,
    QUALITY,
    WIDER_HEIGHTS,
    WIDER_WIDTH,
    Photographs,
    decoded,
    lfw_photographs,
    wider_photographs,
)
from photograph_stages import measure_stages

from lfw_eval.datasets.alignment.gpu import GpuAlignment, GpuRuntimes
from lfw_eval.datasets.alignment.gpu_lanes import PHOTOGRAPHS, PIXELS, GpuLanes
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment
from lfw_eval.datasets.photograph_batches import in_batches
from lfw_eval.engines.contract import Precision
from lfw_eval.engines.cuda import device_class, open_devices
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "photographs_per_second.json"
PARTS = ("stages", "boxes", "peer", "gpus", "accuracy", "cpu")
_AT_ONCE = 64  # photographs that the CPU aligns
_COMPARED = 1024


def boxes_beside(chain: Chain, photographs: Photographs) -> dict[str, Any]:
    """Compare the crops' places with those of the CPU, from the files on."""
    with GpuLanes.open(chain.alignment, lanes=chain.lanes) as lanes:
        batches = list(lanes.align(photographs))
    on_gpu = np.concatenate([batch.boxes for batch in batches])
    names = [photograph.name for photograph in photographs]
    images = decoded(photographs)
    aligned = [
        chain.alignment.recipe.align(names[row : row + _AT_ONCE], images[row : row + _AT_ONCE])
        for row in range(0, len(names), _AT_ONCE)
    ]
    differences = np.abs(on_gpu - np.concatenate([faces.boxes for faces in aligned])).max(axis=1)
    detected = [np.concatenate([part.detected for part in parts]) for parts in (batches, aligned)]
    return {
        "photographs": len(photographs),
        "share within 1 px": float(np.mean(differences <= 1)),
        "share equal": float(np.mean(differences == 0)),
        "no face on the GPU": int((~detected[0]).sum()),
        "no face on the CPU": int((~detected[1]).sum()),
    }


def bound_by(stages: dict[str, Any], chain: dict[str, Any]) -> dict[str, Any]:
    """Return the times that a batch takes of each resource, beside the time between batches.

    The largest share is what bounds the chain. Decoding has a thread and an engine of the GPU of
    its own; detection, crop and embedding share the rest of the GPU, where what several lanes reach
    together is the least that each can take.
    """
    batch = stages["batch"]
    shared = ("detection", "crop", "embedding")
    taken = {
        "decoding": stages["decoding"]["ms of a batch"],
        **{name: batch / stages[name]["photographs/s, all lanes"] * 1e3 for name in shared},
    }
    between = batch / chain["photographs/s"] * 1e3
    on_gpu = sum(taken[name] for name in shared)
    return {
        "ms between batches": between,
        "ms of a batch": taken,
        "decoding, share of the time": taken["decoding"] / between,
        "detection, crop and embedding, share of the time": on_gpu / between,
        "cores busy": chain["cores busy"],
    }


def main() -> None:
    """Measure, print and save."""
    options = _options()
    skipped = set(options.skip.split(","))
    level, gpus = options.level, range(device_class().count())
    recipe = MtcnnAlignment()
    alignment = GpuAlignment(recipe, (0,), GpuRuntimes.of((0,)))
    sets = {"LFW": lfw_photographs(options.lfw, options.photographs)}
    if options.wider:
        sets["WIDER"] = wider_photographs(options.wider, options.photographs)
    precisions: list[Precision] = options.precisions.split(",")
    specs = {name: spec_of(name, level, options.lfw) for name in precisions}
    record: dict[str, Any] = {
        "photographs": {
            "JPEG quality": QUALITY,
            "LFW, side": LFW_SIDE,
            "WIDER, width and heights": [WIDER_WIDTH, WIDER_HEIGHTS],
            "sets": {
                name: {
                    "count": len(rows),
                    "bytes each": round(sum(len(row.content) for row in rows) / len(rows)),
                }
                for name, rows in sets.items()
            },
        },
        "GPU": alignment.runtimes.device,
        "aligned on": alignment.aligned_on,
        "batch": PHOTOGRAPHS,
        "optimization_level": level,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "environment": asdict(environment()),
    }

    def save(name: str, value: Any) -> None:
        record[name] = value
        print(f"{name}: {json.dumps(value, indent=1)}", flush=True)
        write_json(options.output, record)

    rates: dict[str, Any] = {}
    for name, photographs in sets.items():
        for precision, spec in specs.items():
            for lanes in map(int, options.lanes.split(",")):
                chain = Chain(spec, alignment, lanes)
                measured = rate_here(chain, photographs, options.seconds, options.rounds)
                rates.setdefault(name, {}).setdefault(precision, {})[str(lanes)] = measured
                save("chain", rates)
    first, photographs = next(iter(sets.items()))
    precision, lanes, best = max(
        (
            (precision, int(lanes), figures)
            for precision, by_lanes in rates[first].items()
            for lanes, figures in by_lanes.items()
        ),
        key=lambda row: row[2]["photographs/s"],
    )
    by_set = {
        name: by_precision[precision][str(lanes)]["photographs/s"]
        for name, by_precision in rates.items()
    }
    save("fastest", {"precision": precision, "lanes": lanes, "by set": by_set, **best})
    chain = Chain(specs[precision], alignment, lanes)
    if "stages" not in skipped:
        (device,) = open_devices((0,))
        stages = {}
        for name, rows in sets.items():
            (batch, *_) = in_batches(rows, PHOTOGRAPHS, PIXELS)
            with chain.engine() as engine:
                stages[name] = measure_stages(
                    alignment, engine, device, batch.photographs, lanes, options.seconds / 2
                )
        save("stages", stages)
        save("bound by", bound_by(stages[first], best))
    if "boxes" not in skipped:
        compared = {name: boxes_beside(chain, rows[:_COMPARED]) for name, rows in sets.items()}
        save("boxes beside the CPU's", compared)
    if "peer" not in skipped and options.peer_python:
        peer = measure_peer(
            options.peer_python, options.peer_path, photographs[:1024], options.seconds
        )
        if "fastest photographs/s" in peer:
            peer["times"] = best["photographs/s"] / peer["fastest photographs/s"]
        save("facenet-pytorch", peer)
    if "gpus" not in skipped and len(gpus) > 1:
        counts = [count for count in (1, 2, 4, 8) if count <= len(gpus)]
        on = {
            str(count): rate_on_gpus(chain, photographs, options.seconds, gpus[:count])
            for count in counts
        }
        times = {count: rate / on["1"] for count, rate in on.items()}
        save("GPUs at once, a process each", {"photographs/s": on, "times one": times})
        together = rate_here(chain.on(tuple(gpus)), photographs, options.seconds, options.rounds)
        times_one = together["photographs/s"] / best["photographs/s"]
        save("GPUs at once, in one process", {**together, "times one": times_one})
    if "accuracy" not in skipped:
        runs = {
            precision: accuracy_runs(
                options.lfw, precision, PHOTOGRAPHS, level, options.rounds, options.profile
            )
            for precision in precisions
        }
        save("LFW from the archive to the table", runs)
    if "cpu" not in skipped:
        on_cpu = accuracy_on_cpu_crops(options.lfw, precision, PHOTOGRAPHS, level)
        save("the same, aligned on the CPU", {precision: on_cpu})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--wider", type=Path)
    parser.add_argument("--lanes", default="2,4,6", help="Per GPU.")
    parser.add_argument("--precisions", default="fp16,int8", help="Of FaceNet's engine.")
    parser.add_argument("--level", type=int, help="TensorRT's, 0 to 5.")
    parser.add_argument("--photographs", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=2, help="Of a measurement.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python")
    parser.add_argument("--peer-path", default="", help="PYTHONPATH of that Python.")
    parser.add_argument("--skip", default="", help=f"Of {', '.join(PARTS)}, with commas.")
    parser.add_argument("--profile", type=Path, help="Where to leave that of an accuracy run.")
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
