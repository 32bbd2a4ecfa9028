"""Templates: an embedding for a set of images of the same person."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from lfw_eval.metrics.verification.distance import EmbeddingError, require_distinct


def template_embeddings(
    embeddings: NDArray[np.float32],
    image: NDArray[np.intp],
    template: NDArray[np.intp],
    medium: NDArray[np.intp],
    weight: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the embedding of each template, as insightface's `image2template_feature`.

    The embeddings of a medium, such as the frames of a video, count as their mean; the template is
    the sum over its media, scaled to length 1. The embeddings are not normalised first: longer
    ones, and those with a higher `weight`, count more.

    Args:
        embeddings: `(images, d)`.
        image: Row of the embeddings, one per image in a template, `(n,)`.
        template: Its template, 0 to k - 1, `(n,)`.
        medium: Its medium, a number of any size, `(n,)`.
        weight: The factor of its embedding, `(n,)`.

    Returns:
        `(k, d)`.

    Raises:
        EmbeddingError: A template's sum is not finite or of length zero, or all are the same.
    """
    _, group, size = np.unique(
        np.column_stack([template, medium]), axis=0, return_inverse=True, return_counts=True
    )
    share = weight / size[group.ravel()]
    shape = (int(template.max()) + 1, len(embeddings))
    sums = csr_array((share.astype(np.float32), (template, image)), shape) @ embeddings
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0)).ravel()
    if bad.any():
        raise EmbeddingError(
            f"{bad.sum()} of {len(bad)} templates cannot be compared, the first is number "
            f"{np.argmax(bad)}: its embeddings are not finite or add up to zero",
            "check the crops and the precision of the engine",
        )
    unit = np.asarray(sums / length, np.float32)
    require_distinct(unit)
    return unit
