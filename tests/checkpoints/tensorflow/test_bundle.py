from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tensorflow_files import field, shape_proto, table, varint, write_bundle

from lfw_eval.checkpoints.tensorflow import bundle
from lfw_eval.checkpoints.tensorflow.bundle import bundle_files, is_bundle, read_variables
from lfw_eval.checkpoints.tensorflow.protobuf_wire import MalformedError
from lfw_eval.system.errors import UserError

VALUES = {
    "layer/weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "layer/weights/Adam": np.ones(3, np.float32),
    "step": np.array(7, np.int32),
}


@pytest.fixture
def prefix(tmp_path):
    path = tmp_path / "model.ckpt-275"
    write_bundle(path, VALUES)
    return path


def test_variables_by_name(prefix):
    variables = read_variables(prefix)
    assert {name: tensor.shape for name, tensor in variables.items()} == {
        name: values.shape for name, values in VALUES.items()
    }
    for name in ("layer/weights", "layer/weights/Adam"):
        np.testing.assert_array_equal(variables[name].values(), VALUES[name])


@pytest.mark.parametrize(
    "name", ["model.ckpt-275", "model.ckpt-275.index", "model.ckpt-275.data-00000-of-00001",
             "model.meta", "."],
)  # fmt: skip
def test_its_folder_and_any_of_its_files_name_a_checkpoint(name, prefix):
    (prefix.parent / "model.meta").touch()
    write_bundle(prefix.with_name("model.ckpt-90"), {})  # an earlier step
    path = prefix.parent / name
    assert is_bundle(path)
    assert list(bundle_files(path)) == [f"{prefix.name}.index",
                                        f"{prefix.name}.data-00000-of-00001"]  # fmt: skip


def test_missing_files_are_named(prefix):
    assert not any(map(is_bundle, (prefix.parent / "other.ckpt", Path())))
    data, index = (prefix.with_name(prefix.name + end) for end in (".data-00000-of-00001",
                                                                   ".index"))  # fmt: skip
    content = data.read_bytes()
    data.unlink()
    with pytest.raises(FileNotFoundError, match="data-00000-of-00001"):
        read_variables(prefix)
    data.write_bytes(content)
    index.unlink()
    with pytest.raises(UserError, match=r"has no model\.ckpt-275\.index beside it"):
        read_variables(data)


def test_damage_at_any_byte_is_told_or_harmless(prefix):
    index = prefix.with_name(f"{prefix.name}.index")
    whole = index.read_bytes()
    random = np.random.default_rng(0)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        for content in (whole[:position], damaged):
            index.write_bytes(content)
            with suppress(MalformedError, FileNotFoundError):
                read_variables(prefix)


def test_a_variable_in_slices_has_no_values(prefix):
    entry = field(1, 1) + field(2, field(2, field(1, 6))) + field(5, 4) + field(7, b"")
    prefix.with_name(f"{prefix.name}.index").write_bytes(table({"": field(1, 1), "a": entry}))
    with pytest.raises(MalformedError, match="does not have the size"):
        read_variables(prefix)["a"].values()


def test_names_that_objects_have(prefix):
    attributes = field(1, b"VARIABLE_VALUE") + field(2, b"layer/beta") + field(3, b"layer/weights")
    graph = field(1, field(2, attributes + field(4, 1))) + field(1, field(2, field(1, b"other")))
    content = varint(len(graph)) + bytes(4) + graph
    data = prefix.with_name(f"{prefix.name}.data-00000-of-00001")
    (key, weights), *_ = VALUES.items()
    data.write_bytes(weights.tobytes() + content)
    entries = {"": field(1, 1)}
    entries["_CHECKPOINTABLE_OBJECT_GRAPH"] = (
        field(1, 7) + field(2, b"") + field(4, weights.nbytes) + field(5, len(content))
    )
    entries[key] = field(1, 1) + field(2, shape_proto(weights.shape)) + field(5, weights.nbytes)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(entries))
    np.testing.assert_array_equal(read_variables(prefix)["layer/beta"].values(), weights)
    entries["layer/beta"] = entries[key]
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(dict(sorted(entries.items()))))
    with pytest.raises(MalformedError, match="have the same name"):
        read_variables(prefix)


def test_bytes_that_are_missing(prefix):
    data = prefix.with_name(f"{prefix.name}.data-00000-of-00001")
    for size in (data.stat().st_size - 1, 0):
        data.write_bytes(data.read_bytes()[:size])
        with pytest.raises(MalformedError, match="cut off"):
            read_variables(prefix)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"": field(1, 1) + field(2, 1)}, "not little-endian"),
        ({"": b"", "x" * 2000: b""}, "damaged"),
        ({"": field(1, b"many")}, "damaged"),
    ],
)
def test_tables_that_are_refused(entries, message, prefix):
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(entries))
    with pytest.raises(MalformedError, match=message):
        read_variables(prefix)


def test_the_number_of_variables_is_limited(prefix, monkeypatch):
    monkeypatch.setattr(bundle, "_MAX_ENTRIES", 3)
    with pytest.raises(MalformedError, match="more than 3 variables"):
        read_variables(prefix)
    monkeypatch.setattr(bundle, "_MAX_INDEX_BYTES", 3)
    with pytest.raises(MalformedError, match="more than 3 bytes"):
        read_variables(prefix)
