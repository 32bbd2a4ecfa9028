import collections
import copy
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lfw_eval.checkpoints.torch.archive import read_tensors
from lfw_eval.system.errors import UserError

STORAGES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte"}
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def value(content):
    """The instructions that push a plain value, without PROTO and STOP."""
    return pickle.dumps(content, 2)[2:-1]


def view(kind, key, length, offset, shape, strides, legacy):
    storage = b"".join(
        [
            b"(" + value("storage") + f"ctorch\n{kind}Storage\n".encode(),
            *map(value, (key, "cpu", length, *([None] if legacy else []))),
            b"tQ",
        ]
    )
    rest = b"".join(map(value, (offset, shape, strides, False))) + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def state_dict(views):
    entries = b"".join(value(name) + pushed for name, pushed in views.items())
    metadata = b"}" + value("_metadata") + ORDERED_DICT + b"sb"
    return b"\x80\x02" + ORDERED_DICT + b"(" + entries + b"u" + metadata + b"."


def write_zip(path, pickled, storages, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data.tobytes())


def write_legacy(path, pickled, storages):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}
    headers = (0x1950A86A20F9469CFC6C, 1001, system)
    parts = [pickle.dumps(header, 2) for header in headers] + [pickled]
    parts.append(pickle.dumps(list(storages), 2))
    for data in storages.values():
        parts += [data.size.to_bytes(8, "little"), data.tobytes()]
    path.write_bytes(b"".join(parts))


WRITERS = {"zip": write_zip, "legacy": write_legacy}


def write(format_, path, arrays):
    """Write arrays as views of storages; a transposed one keeps its strides."""
    views, storages = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        flat = array.T.ravel() if array.flags.f_contiguous else array.ravel()
        storages[str(number)] = np.concatenate([np.zeros(3, array.dtype), flat])
        strides = tuple(stride // array.itemsize for stride in array.strides)
        kind, length = STORAGES[array.dtype.str[1:]], flat.size + 3
        views[name] = view(kind, str(number), length, 3, array.shape, strides, format_ == "legacy")
    WRITERS[format_](path, state_dict(views), storages)


@pytest.fixture(params=WRITERS)
def format_(request):
    return request.param


arrays = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in STORAGES]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
).flatmap(lambda array: st.sampled_from([array, array.T]))


@given(arrays=st.dictionaries(st.text(max_size=5), arrays, max_size=4))
@pytest.mark.parametrize("format_", WRITERS)
def test_round_trip(tmp_path_factory, format_, arrays):
    path = tmp_path_factory.mktemp("archive") / "tensors.pt"
    write(format_, path, arrays)
    read = read_tensors(path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)


def test_bfloat16_comes_as_float32(tmp_path, format_):
    numbers = np.array([1.0, -2.5, 3.140625, 0.0], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    pickled = state_dict({"x": view("BFloat16", "0", 4, 0, (4,), (1,), format_ == "legacy")})
    WRITERS[format_](tmp_path / "x.pt", pickled, {"0": halves})
    read = read_tensors(tmp_path / "x.pt")["x"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, numbers)


def test_tensors_share_a_storage(tmp_path, format_):
    legacy = format_ == "legacy"
    pickled = state_dict(
        {
            "all": view("Float", "7", 6, 0, (2, 3), (3, 1), legacy),
            "column": view("Float", "7", 6, 1, (2,), (3,), legacy),
        }
    )
    WRITERS[format_](tmp_path / "x.pt", pickled, {"7": np.arange(6, dtype=np.float32)})
    read = read_tensors(tmp_path / "x.pt")
    np.testing.assert_array_equal(read["all"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read["column"], [1, 4])


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (3, (2, 3), (3, 1)),
        (0, (2, 3), (4, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (10**12,), (0,)),
        (0, (2**40, 2**40), (0, 0)),
        (0, (-2,), (1,)),
        (2**62, (1,), (1,)),
        (0, (2, 3), (1,)),
    ],
)
def test_a_view_outside_its_storage_is_refused(tmp_path, format_, offset, shape, strides):
    pickled = state_dict({"x": view("Float", "0", 6, offset, shape, strides, format_ == "legacy")})
    WRITERS[format_](tmp_path / "x.pt", pickled, {"0": np.zeros(6, np.float32)})
    with pytest.raises(UserError, match=r"x\.pt .* tensor x (has more|reaches outside)"):
        read_tensors(tmp_path / "x.pt")


def test_an_empty_storage(tmp_path, format_):
    pickled = state_dict({"x": view("Float", "0", 0, 0, (0, 3), (3, 1), format_ == "legacy")})
    WRITERS[format_](tmp_path / "x.pt", pickled, {"0": np.zeros(0, np.float32)})
    assert read_tensors(tmp_path / "x.pt")["x"].shape == (0, 3)


def test_a_call_that_no_tensor_needs_is_refused_and_not_made(tmp_path, format_):
    marker = tmp_path / "marker"
    command = b"cposix\nsystem\n(" + value(f"touch {marker}") + b"tR"
    for pickled in (b"\x80\x02" + command + b".", state_dict({"x": command})):
        WRITERS[format_](tmp_path / "evil.pt", pickled, {})
        with pytest.raises(UserError, match=r"evil\.pt.*posix\.system"):
            read_tensors(tmp_path / "evil.pt")
        assert not marker.exists()


HOSTILE = {
    "an attribute of what is allowed": b"ccollections\nOrderedDict.__init__\n.",
    "a changed class": b"ccollections\nOrderedDict\n(N}" + value("__len__") + value(1) + b"stb.",
    "a changed function": b"ctorch._utils\n_rebuild_tensor_v2\n(N}"
    + value("__defaults__")
    + value((1,))
    + b"stb.",
    "a list": b"]" + value(1) + b"a.",
    "an entry that is no tensor": b"}" + value("x") + value(1) + b"s.",
    "a name that is no text": b"}" + value(1) + view("Float", "0", 0, 0, (), (), False) + b"s.",
    "a storage that is not one": b"(" + value("module") + value("x") + b"tQ.",
    "no instruction": b"\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("pickled", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused(tmp_path, format_, pickled):
    WRITERS[format_](tmp_path / "evil.pt", b"\x80\x02" + pickled, {})
    with pytest.raises(UserError, match=r"evil\.pt"):
        read_tensors(tmp_path / "evil.pt")
    assert len(collections.OrderedDict()) == 0


def test_names_from_python_2(tmp_path):
    """Python 2 pickles strings as bytes, and an OrderedDict as a call with a list of lists."""
    name = b"U\x01x"
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x02NtQ"
    rest = b"".join(map(value, (0, (2,), (1,), False))) + ORDERED_DICT
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"
    pickled = b"\x80\x02ccollections\nOrderedDict\n]](" + name + tensor + b"ea\x85R."
    write_legacy(tmp_path / "x.pt", pickled, {"0": np.array([1, 2], np.float32)})
    assert read_tensors(tmp_path / "x.pt")["x"].tolist() == [1, 2]


def test_a_file_that_asks_for_more_memory_than_it_has_bytes_is_refused(tmp_path, format_):
    """Nine bytes for which Python's own reader would allocate 512 MB."""
    WRITERS[format_](tmp_path / "x.pt", b"\x80\x02}r\xff\xff\xff\x01.", {})
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"x\.pt .*beyond its size"):
            read_tensors(tmp_path / "x.pt")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_tensors_of_one_storage_take_its_memory_once(tmp_path, format_):
    size, legacy = 1 << 20, format_ == "legacy"
    views = {f"{n}": view("Byte", "0", size, 0, (size,), (1,), legacy) for n in range(100)}
    WRITERS[format_](tmp_path / "x.pt", state_dict(views), {"0": np.ones(size, np.uint8)})
    tracemalloc.start()
    try:
        assert len(read_tensors(tmp_path / "x.pt")) == 100
        assert tracemalloc.get_traced_memory()[1] < 4 * size
    finally:
        tracemalloc.stop()


def test_overlapping_entries_of_a_zip_are_refused(tmp_path):
    keys = [str(number) for number in range(10)]
    size = 1 << 16
    views = {key: view("Byte", key, size, 0, (size,), (1,), legacy=False) for key in keys}
    write_zip(tmp_path / "x.pt", state_dict(views), {"0": np.ones(size, np.uint8)})
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as archive:
        for key in keys[1:]:
            entry = copy.copy(archive.getinfo("archive/data/0"))
            entry.filename = f"archive/data/{key}"
            archive.filelist.append(entry)
        archive._didModify = True
    with pytest.raises(UserError, match="larger than the file"):
        read_tensors(tmp_path / "x.pt")


def test_a_reference_that_takes_forever_to_print_is_refused_at_once(tmp_path, format_):
    """A tuple of the same tuple twice, and so on: 2**60 leaves."""
    nested = b"N" + b"q\x00h\x00\x86" * 60
    for part in (b"(" + nested + b"tQ", b"(" + value("storage") + nested + b"NNNtQ"):
        WRITERS[format_](tmp_path / "x.pt", b"\x80\x02" + part + b".", {})
        with pytest.raises(UserError, match=r"x\.pt"):
            read_tensors(tmp_path / "x.pt")


@pytest.mark.slow
def test_every_truncation_is_refused(tmp_path, format_):
    path = tmp_path / "x.pt"
    write(format_, path, {"x": np.arange(4, dtype=np.float32), "y": np.ones((2, 2), np.int64)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x\.pt"):
            read_tensors(path)


def test_a_storage_of_another_size_is_refused(tmp_path, format_):
    pickled = state_dict({"x": view("Float", "0", 6, 0, (6,), (1,), format_ == "legacy")})
    WRITERS[format_](tmp_path / "x.pt", pickled, {"0": np.zeros(5, np.float32)})
    with pytest.raises(UserError, match="does not have the size"):
        read_tensors(tmp_path / "x.pt")


def test_a_compressed_archive_is_refused(tmp_path):
    pickled = state_dict({"x": view("Float", "0", 6, 0, (6,), (1,), legacy=False)})
    storages = {"0": np.zeros(6, np.float32)}
    write_zip(tmp_path / "x.pt", pickled, storages, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="compressed"):
        read_tensors(tmp_path / "x.pt")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.pt: No such file"):
        read_tensors(tmp_path / "none.pt")


def test_real_weights(mtcnn_weights: dict[str, Path]):
    tensors = read_tensors(mtcnn_weights["rnet"])
    assert tensors["conv1.weight"].shape == (28, 3, 3, 3)
    assert tensors["dense4.weight"].shape == (128, 576)
    assert len(tensors) == 16
    assert float(tensors["dense4.weight"].sum(dtype=np.float64)) == pytest.approx(-73.594754624)
