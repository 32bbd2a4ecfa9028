import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mxnet_files import LAYOUTS, TYPES, params

from lfw_eval.checkpoints.mxnet.params import read_params
from lfw_eval.system.errors import UserError

ARRAYS = st.dictionaries(
    st.text("abc_", min_size=1, max_size=5),
    hnp.arrays(
        st.sampled_from([np.dtype(name) for name in TYPES]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
    ),
    max_size=4,
)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(arrays=ARRAYS)
def test_round_trip(tmp_path_factory, layout, arrays):
    path = tmp_path_factory.mktemp("params") / "net-0000.params"
    path.write_bytes(params({f"arg:{name}": array for name, array in arrays.items()}, layout))
    read = read_params(path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_auxiliary_states_and_arrays_that_were_never_computed(tmp_path):
    path = tmp_path / "net-0000.params"
    one = params({"aux:mean": np.ones(2, np.float32)})
    none = struct.pack("<Iii", 0xF993FAC9, 0, 0)
    names = b"".join(struct.pack("<Q", len(name)) + name for name in (b"aux:mean", b"arg:none"))
    array = one[24 : -8 - len(b"aux:mean") - 8]
    start = struct.pack("<QQQ", 0x112, 0, 2)
    path.write_bytes(start + array + none + struct.pack("<Q", 2) + names)
    read = read_params(path)
    np.testing.assert_array_equal(read["mean"], [1, 1])
    assert read["none"].size == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_truncated_file_is_refused(tmp_path, layout):
    whole = params({"arg:a": np.ones((2, 3), np.float32), "aux:b": np.ones(4, np.float16)}, layout)
    path = tmp_path / "net-0000.params"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"net-0000\.params is not a usable MXNet parameter"):
            read_params(path)


@given(place=st.integers(0, 10**6), value=st.integers(0, 255), layout=st.sampled_from(LAYOUTS))
def test_a_damaged_byte_costs_no_more_than_the_file(tmp_path_factory, place, value, layout):
    content = bytearray(params({"arg:a": np.ones((2, 3), np.float32)}, layout))
    content[place % len(content)] = value
    path = tmp_path_factory.mktemp("params") / "net-0000.params"
    path.write_bytes(content)
    try:
        read = read_params(path)
    except UserError as error:
        assert "net-0000.params" in error.problem
    else:
        assert sum(array.nbytes for array in read.values()) <= len(content)


ARRAY = 24  # bytes before the first


@pytest.mark.parametrize(
    ("place", "replacement", "reason"),
    [
        (16, struct.pack("<Q", 2**63), "truncated"),
        (ARRAY + 4, struct.pack("<i", 1), "sparse"),
        (ARRAY + 8, struct.pack("<i", 10**9), "1,000,000,000 dimensions"),
        (ARRAY + 8, struct.pack("<i", -2), "-2 dimensions"),
        (ARRAY + 12, struct.pack("<q", -3), r"the shape \(-3, 3\)"),
        (ARRAY + 12, struct.pack("<q", 2**62), "truncated"),
        (ARRAY + 36, struct.pack("<i", 12), "type 12"),
    ],
)
def test_hostile_sizes(tmp_path, place, replacement, reason):
    content = bytearray(params({"arg:a": np.ones((2, 3), np.float32)}))
    content[place : place + len(replacement)] = replacement
    path = tmp_path / "net-0000.params"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_params(path)
