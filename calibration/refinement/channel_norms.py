"""How large the channels of tensors are."""

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.refinement.measure import BATCH
from calibration.sessions import open_session, with_outputs

# Doublings: the norm is that of the 8th power. It lies between the root mean square, which says
# nothing of outliers, and the maximum, which is chance in channels of few places.
_DOUBLINGS = 3


def channel_norms(
    model: onnx.ModelProto, tensors: Collection[str], images: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Return by tensor mean(|x|^8)^(1/8) of each of its channels, float64 (channels,).

    Args:
        tensors: Nodes' outputs, float32 (n, channels, ...).
        images: float32 (n, 3, height, width).
    """
    session = open_session(with_outputs(model, tensors))
    norms: dict[str, NDArray[np.float64]] = {}
    source = model.graph.input[0].name
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        outputs = session.run(list(tensors), {source: batch})
        for name, values in zip(tensors, outputs, strict=True):
            # Largest last: powers of a tensor's values relative to its largest do not overflow.
            peak = np.abs(values).max(initial=0) or np.float32(1)
            powers = values.reshape(*values.shape[:2], -1) / peak
            for _ in range(_DOUBLINGS):
                np.square(powers, out=powers)
            mean = powers.mean(axis=2, dtype=np.float64).sum(axis=0) / len(images)
            power = 2**_DOUBLINGS
            norms[name] = norms.get(name, 0) + mean * float(peak) ** power
    return {name: total ** (1 / 2**_DOUBLINGS) for name, total in norms.items()}
