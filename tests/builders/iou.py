"""IoU of two boxes, written without the product."""

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the IoU of two boxes (x0, y0, x1, y1); 0 where neither has an area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0
