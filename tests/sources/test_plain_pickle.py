import pickle
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.sources import plain_pickle
from lfw_eval.sources.pickle_operands import dictionary
from lfw_eval.sources.pickled_objects import CodeError, MalformedError, PickledFunction
from lfw_eval.sources.plain_pickle import PickleReader

FUNCTIONS = {("collections", "OrderedDict"): PickledFunction(dictionary)}
MARKED_PAIRS = b"(" + b"".join(b"X\x02\x00\x00\x00%02dN\x86" % number for number in range(100))

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


# Protocols 0 to 2 have no bytes: they call a function.
@given(values, st.integers(3, 5))
def test_plain_data_is_read_as_python_does(value, protocol):
    assert PickleReader(pickle.dumps(value, protocol), {}).load() == value


@pytest.mark.parametrize("protocol", range(6))
def test_dictionaries_of_every_protocol(protocol):
    value = {"a": 1.5, "b": {"c": [True, None]}}
    assert PickleReader(pickle.dumps(value, protocol), {}).load() == value


def test_pickles_one_after_the_other():
    reader = PickleReader(pickle.dumps("first", 2) + pickle.dumps([2], 2) + b"rest", {})
    assert reader.load() == "first"
    assert reader.load() == [2]
    assert reader.take(4) == b"rest"
    with pytest.raises(MalformedError, match="cut off"):
        reader.take(1)


def test_what_a_name_stands_for():
    assert PickleReader(b"ctorch\nFloat\n.", {("torch", "Float"): "float32"}).load() == "float32"
    with pytest.raises(CodeError, match=r"^torch\.Double$"):
        PickleReader(b"ctorch\nDouble\n.", {("torch", "Float"): "float32"}).load()


def test_persistent_ids_are_refused_unless_expected():
    assert PickleReader(b"K\x01\x85Q.", {}, lambda pid: pid[0] + 1).load() == 2
    with pytest.raises(MalformedError, match="outside the pickle"):
        PickleReader(b"K\x01\x85Q.", {}).load()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        # 9 bytes for which Python's reader allocates a table of 2**25 entries.
        (b"\x80\x02}r\xff\xff\xff\x01.", "numbers its values beyond its size"),
        (b"}p33554431\n.", "numbers its values beyond its size"),
        # A tuple of two that are the same tuple of two and so on: 2**60 leaves to hash.
        (b"}N" + b"q\x00h\x00\x86" * 60 + b"Ns.", "keys are not strings"),
        (b"(K\x01K\x02d.", "keys are not strings"),
        (b"}(K\x01u.", "not a well-formed pickle"),
        # One list that becomes a dictionary again and again.
        (
            b"ccollections\nOrderedDict\nq\x00" + MARKED_PAIRS + b"lq\x01\x85R"
            + b"h\x00h\x01\x85R" * 1000 + b"\x86.",
            "the same values many times",
        ),
    ],
)  # fmt: skip
def test_a_pickle_that_asks_for_more_than_it_has_is_refused_at_once(content, why):
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match=why):
            PickleReader(content, FUNCTIONS).load()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_persistent_id_that_recurs_is_refused():
    key = b"X" + (1000).to_bytes(4, "little") + b"k" * 1000
    with pytest.raises(MalformedError, match="the same values many times"):
        PickleReader(
            b"(" + key + b"\x85q\x00" + b"h\x00Q" * 1000 + b"t.", {}, lambda pid: pid[0] + "x"
        ).load()


def test_instructions_are_counted_over_all_pickles(monkeypatch):
    monkeypatch.setattr(plain_pickle, "_MAX_INSTRUCTIONS", 5)
    reader = PickleReader(b"NN.NN.", {})
    reader.load()
    with pytest.raises(MalformedError, match="more than 5 instructions"):
        reader.load()
