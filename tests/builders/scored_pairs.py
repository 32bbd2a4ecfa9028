"""Distances of pairs, drawn at random by hypothesis."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def scored_pairs(draw, dtype=np.float64, max_pairs=40, steps=12):
    """Distances with ties, of at least two pairs of each class."""
    size = draw(st.integers(4, max_pairs))
    distances = draw(hnp.arrays(dtype, size, elements=st.integers(0, steps).map(lambda d: d / 4)))
    genuine = draw(hnp.arrays(bool, size))
    genuine[:4] = [True, True, False, False]
    return distances, genuine
