"""Measure the seconds of an accuracy run, from crops in memory to printed metrics.

Usage: python benchmarks/accuracy_seconds.py [options of lfw-eval evaluate]

By default the engine is INT8 with batches of 64. Building, loading and a few batches to warm up are
not timed. Prints the metrics of three runs and, last, a JSON object with their seconds; it writes
no file.
"""

import json
import time

import numpy as np
import typer

from lfw_eval.cli.flatten import flattened
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.verification import Protocol, verify


def measure(options: JobOptions) -> None:
    """Time three runs and print them."""
    job = options.job()
    crops = np.array(job.dataset.crop_store(job.alignment).crops)
    size = job.engine.batch_size
    with job.engine.build(job.checkpoint, calibrate_if_needed(job)) as engine:
        (source,), (output,) = engine.inputs, engine.outputs
        batches = [{source.name: crops[i : i + size]} for i in range(0, len(crops), size)]
        list(engine.stream(batches[:16]))
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            embeddings = [outputs[output.name] for outputs in engine.stream(batches)]
            outcome = verify(job.dataset, np.concatenate(embeddings), Protocol())
            print(
                f"{len(crops):,} crops: ACC {outcome.accuracy.value:.5f}, "
                f"AUC {outcome.auc.value:.5f}, EER {outcome.eer.value:.5f}, "
                f"VAL {outcome.val.value:.5f} at FAR {outcome.val.far:g}"
            )
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"crops": len(crops), "seconds": [round(value, 4) for value in seconds]}))


if __name__ == "__main__":
    typer.run(flattened(measure))
