"""Keep what `lfw-eval detect` measured on a GPU, with the gate's verdict.

Usage: python benchmarks/detection_on_tensorrt.py FP32.json CANDIDATE.json...

The files are results of `lfw-eval detect --dataset wider_val_120.tgz --annotations
wider_val_120.json --detector centerface --engine tensorrt --precision ... --optimization-level 0
--batch-size 8`; the first one is the baseline. Prints AP at IoU 0.5 by every definition, and writes
benchmarks/results/detection_on_tensorrt.json.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from detection_accuracy import compared, figures
from json_file import write_json

from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.file import of_type, read_result

RESULT = Path(__file__).parent / "results" / "detection_on_tensorrt.json"


def main() -> None:
    """Collect, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+")
    files = of_type(map(read_result, parser.parse_args().results), DetectionReport)
    baseline, *candidates = files
    content = {file.result.settings["precision"]: figures(file.result) for file in files}
    for file in candidates:
        content[file.result.settings["precision"]]["gate"] = compared(file.result, baseline.result)
    # Of the command, only where its files lay differs from the one above.
    origin = replace(baseline.environment, command="")
    print(write_json(RESULT, {**content, "environment": asdict(origin)}))


if __name__ == "__main__":
    main()
