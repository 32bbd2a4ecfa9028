"""AP: the area under the precision-recall curve, in three definitions."""

from typing import Literal, get_args

import numpy as np

from lfw_eval.metrics.detection.precision_recall import PrecisionRecall
from lfw_eval.system.errors import UserError

Definition = Literal["integrate", "tao11", "coco"]
"""How the area is taken; see `average_precision`."""

RECALL_POINTS: dict[Definition, int] = {"tao11": 11, "coco": 101}


def average_precision(curve: PrecisionRecall, definition: Definition = "integrate") -> float:
    """Return AP, with the precision at a recall being the highest at that recall or beyond.

    With that non-increasing precision p(r), which is 0 beyond the last recall reached:

    - `integrate`: the area under p from 0 to 1, as Pascal VOC from 2010 on.
    - `tao11`: the mean of p(0), p(0.1) … p(1), as Pascal VOC 2007 and, in the mode SAMPLE, the
      evaluator of NVIDIA's TAO. The recalls are that evaluator's floats, some of which are just
      above the intended tenth (0.30000000000000004).
    - `coco`: the mean of p(0), p(0.01) … p(1), as pycocotools, if the curve splits ties.

    Args:
        curve: From `precision_recall`.
        definition: A name from the list above.

    Returns:
        0 to 1; NaN without faces, since recall is undefined then (pycocotools: -1).
    """
    check_definition(definition)
    if not curve.faces:
        return float("nan")
    precision = np.maximum.accumulate(curve.precision[::-1])[::-1]
    if definition == "integrate":
        # Over counts and divided last, so that perfect detections give 1 and nothing gives more.
        return float(np.sum(precision * np.diff(curve.hits, prepend=0)) / curve.faces)
    recalls = np.linspace(0, 1, RECALL_POINTS[definition])
    return float(np.append(precision, 0)[np.searchsorted(curve.recall, recalls)].mean())


def check_definition(definition: str) -> None:
    """Check the name of a definition.

    Raises:
        UserError: The definition does not exist.
    """
    if definition not in get_args(Definition):
        raise UserError(
            f'unknown definition of AP "{definition}"',
            f"choose from {', '.join(get_args(Definition))}",
        )
