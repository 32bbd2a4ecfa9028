import builtins
import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, picture
from sklearn.model_selection import KFold

from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.insightface_bin import read_insightface_bin
from lfw_eval.datasets.pickled_arrays import NAMES, PickledArray
from lfw_eval.sources.pickled_objects import CodeError, MalformedError
from lfw_eval.sources.plain_pickle import PickleReader
from lfw_eval.system.errors import UserError

PAIRS = 23
SAME = [index % 2 == 0 for index in range(PAIRS)]
CROPS = [encoded(picture(seed, 112, 112)) for seed in range(2 * PAIRS)]


def read_pickle(content: bytes) -> Any:
    return PickleReader(content, NAMES).load()


def python2_pickle(images: list[bytes], same: list[bool], protocol: int) -> bytes:
    """What Python 2's cPickle writes: strings without an encoding, bools as integers below 2."""
    if protocol == 0:
        out = [b"((lp1\n"]
        for image in images:
            # Python 2's repr of a string.
            out.append(b"S" + repr(image)[1:].encode() + b"\na")
        out.append(b"(lp2\n" + b"".join(b"I%02d\na" % value for value in same) + b"tp3\n.")
        return b"".join(out)
    start = b"\x80\x02" if protocol == 2 else b""
    strings = b"".join(b"T" + struct.pack("<I", len(image)) + image for image in images)
    true, false = (b"\x88", b"\x89") if protocol == 2 else (b"I01\n", b"I00\n")
    bools = b"".join(true if value else false for value in same)
    if protocol == 2:
        return start + b"]q\x01(" + strings + b"e]q\x02(" + bools + b"e\x86q\x03."
    return b"(]q\x01(" + strings + b"e]q\x02(" + bools + b"etq\x03."


def forms() -> dict[str, bytes]:
    arrays = [np.frombuffer(crop, np.uint8) for crop in CROPS]
    scalars = [np.bool_(value) for value in SAME]
    pickles = {}
    for protocol in range(6):
        for name, content in {
            "bytes": (CROPS, SAME),
            "arrays": (arrays, scalars),
            "array of bools": (CROPS, np.array(SAME)),
            "list": [tuple(CROPS), tuple(SAME)],
        }.items():
            pickles[f"{name}, protocol {protocol}"] = pickle.dumps(content, protocol=protocol)
    for protocol in range(3):
        pickles[f"Python 2, protocol {protocol}"] = python2_pickle(CROPS, SAME, protocol)
    return pickles


FORMS = forms()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same(form, tmp_path):
    if form.startswith("Python 2"):
        images, same = pickle.loads(FORMS[form], encoding="bytes")
        assert (images, same) == (CROPS, SAME), "the made pickle is one"
    path = tmp_path / "set.bin"
    path.write_bytes(FORMS[form])
    crops, pairs = read_insightface_bin(path)
    assert pairs.genuine.tolist() == SAME
    assert [pairs.names[row] for row in pairs.left] == [f"{2 * i:06d}" for i in range(PAIRS)]
    assert [pairs.names[row] for row in pairs.right] == [f"{2 * i + 1:06d}" for i in range(PAIRS)]
    for name, image in crops.read(["000003", "000007"]):
        wanted = picture(int(name), 112, 112).astype(int)
        assert np.abs(image - wanted).mean() < 4


def test_older_numpy_is_known(tmp_path):
    """NumPy 2 says numpy._core, older ones numpy.core."""
    new = pickle.dumps(([np.frombuffer(CROPS[0], np.uint8)], [np.bool_(True)]), protocol=0)
    for content in (new.replace(b"numpy._core", b"numpy.core"), new):
        images, same = read_pickle(content)
        assert images[0].content == CROPS[0]
        assert same == [True]


def test_folds_are_those_of_kfold(tmp_path):
    path = tmp_path / "set.bin"
    path.write_bytes(FORMS["bytes, protocol 4"])
    _, pairs = read_insightface_bin(path)
    for fold, (_, test) in enumerate(KFold(10, shuffle=False).split(np.arange(PAIRS))):
        assert np.flatnonzero(pairs.fold == fold).tolist() == test.tolist()


def test_an_image_that_recurs_is_one(tmp_path):
    path = tmp_path / "set.bin"
    crops = [CROPS[min(index, 40)] for index in range(2 * PAIRS)]
    path.write_bytes(pickle.dumps((crops, SAME)))
    photographs, pairs = read_insightface_bin(path)
    assert len(photographs.names) == 41
    assert pairs.names[pairs.left[-1]] == pairs.names[pairs.right[-1]] == "000040"


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(marker: Path) -> dict[str, bytes]:
    """Pickles that make the file `marker` when they are loaded."""
    touch = f"open({str(marker)!r}, 'w')"
    shell = f"touch {marker}"
    line = shell.encode()
    by_getattr = (
        b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(S'" + line + b"'\ntR."
    )
    # What the reader knows must not lead elsewhere: the state of a known function set by BUILD.
    by_build = b"c_codecs\nencode\n(dS'__setstate__'\ncos\nsystem\nsbS'" + line + b"'\nb."
    by_memo = b"cos\nsystem\np5\n0c_codecs\nencode\np5\n0g5\n(S'" + line + b"'\ntR."
    stacked = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(shell)]) + line + b"\x85R."
    return {
        "os.system": pickle.dumps(Runs(os.system, shell)),
        "within the list": pickle.dumps(([Runs(os.system, shell)], [True])),
        "eval": pickle.dumps(Runs(eval, touch), protocol=0),
        "exec": pickle.dumps(Runs(builtins.exec, touch), protocol=2),
        "Popen": pickle.dumps(Runs(subprocess.Popen, ["touch", str(marker)])),
        "getattr": by_getattr,
        "build": by_build,
        "memo": by_memo,
        "stacked names": stacked,
        "instance": b"(S'" + line + b"'\nios\nsystem\n.",
        "object": b"(cos\nsystem\nS'" + line + b"'\no.",
        "new object": b"\x80\x02csubprocess\nPopen\n(](S'touch'\nS'"
        + str(marker).encode() + b"'\net\x81.",
        "attribute of NumPy": b"cnumpy\nf2py.subprocess.getoutput\n(S'" + line + b"'\ntR.",
        "numpy.load": b"cnumpy.lib.npyio\nload\n(S'x'\nNI01\ntR.",
        "codecs.open": b"c_codecs\ndecode\n(S'" + line + b"'\ntR.",
        "pickle in a pickle": pickle.dumps(Runs(pickle.loads, pickle.dumps(Runs(eval, touch)))),
        "object array": pickle.dumps(([np.array([Runs(eval, touch)])], [True])),
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pos.system\n.",
    }  # fmt: skip


HOSTILE = tuple(hostile(Path("/tmp/x")))


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_run(name, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "set.bin"
    content = hostile(marker)[name]
    path.write_bytes(content)
    before = set(sys.modules)
    with pytest.raises(UserError) as refused:
        open_dataset(str(path), None)
    assert "set.bin" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not marker.exists()
    assert not {"subprocess", "f2py"}.intersection(set(sys.modules) - before)


@pytest.mark.parametrize("name", ["os.system", "eval", "Popen", "getattr", "instance"])
def test_hostile_pickles_are_hostile(name, tmp_path):
    """They do run where Python loads them; so the test above tests something."""
    marker = tmp_path / "ran"
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"
    content = hostile(marker)[name]
    subprocess.run(
        [sys.executable, "-c", program], input=content, capture_output=True, cwd=tmp_path
    )
    for _ in range(50):
        if marker.exists():
            break
        subprocess.run(["sleep", "0.05"])
    assert marker.exists()


def test_the_refusal_names_what_was_to_be_run(tmp_path):
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps(Runs(os.system, "true"), protocol=4))
    with pytest.raises(UserError, match=r"lfw\.bin would run code \(posix\.system\)"):
        read_insightface_bin(path)
    path.write_bytes(b"c\x1b[31m" + b"x" * 5000 + b"\nsystem\n.")
    with pytest.raises(UserError) as refused:
        read_insightface_bin(path)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 400
    path.write_bytes(b"(S'true'\nios\nsystem\n.")
    with pytest.raises(UserError, match=r"would run code \(os\.system\)"):
        read_insightface_bin(path)


def written(tmp_path, content: object) -> Path:
    path = tmp_path / "set.bin"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"no pickle", "it is not a pickle"),
        (b"\xff\xd8\xff\xe0JFIF", "it is not a pickle"),
        (b"PK\x03\x04" + bytes(100), "it holds more than plain data"),
        (FORMS["bytes, protocol 4"][:-3000], "cut off"),
        (FORMS["bytes, protocol 2"][:5000], "cut off"),
        (b"\x80\x04C\xff.", "cut off"),
        (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "cut off"),
        (b"\x80\x02r\xff\xff\xff\xff.", "not a well-formed pickle"),
        (b"\x80\x02]r\xff\xff\xff\xff.", "numbers its values beyond its size"),
        (b"h\x07.", "not a well-formed pickle"),
        (b")a.", "not a well-formed pickle"),
        (b"I" + b"9" * 5000 + b"\n.", "not a well-formed pickle"),
        ({"bins": []}, "something else"),
        ((CROPS,), "something else"),
        ((CROPS, SAME, 1), "something else"),
        (7, "something else"),
        ((CROPS, 7), "its second part is not a list of true and false"),
        ((CROPS, ["yes"] * PAIRS), "its second part is not a list of true and false"),
        ((CROPS, [2] * PAIRS), "its second part is not a list of true and false"),
        ((7, SAME), "its first part is not a list of encoded images"),
        ((["text"] * 2 * PAIRS, SAME), "its first part is not a list of encoded images"),
        (([b""] * 2 * PAIRS, SAME), "its first part is not a list of encoded images"),
        ((CROPS[:-1], SAME), "45 images for 23 pairs, but needs two per pair"),
        ((CROPS[:10], SAME[:5]), "5 pairs, too few for 10 folds"),
        ((CROPS, sorted(SAME)), "only genuine or only impostor pairs"),
        ((np.zeros(46), SAME), "type f8"),
    ],
)
def test_other_files_are_refused_in_a_sentence(content, why, tmp_path):
    with pytest.raises(UserError, match=why) as refused:
        read_insightface_bin(written(tmp_path, content))
    assert "\n" not in str(refused.value)


def test_files_that_ask_for_more_memory_than_they_have_bytes(tmp_path):
    text = pickle.dumps("x" * 100_000, protocol=2)[2:-1] + b"q\x01"
    again = b"c_codecs\nencode\n(h\x01S'latin1'\ntR"
    with pytest.raises(MalformedError, match="the same values many times"):
        read_pickle(b"\x80\x02(" + text + again * 1000 + b"t.")
    with pytest.raises(UserError, match="larger than 4 GiB"):
        path = tmp_path / "huge.bin"
        with path.open("wb") as file:
            file.truncate(5 * 2**30)
        read_insightface_bin(path)


def test_a_corrupt_crop_and_one_that_is_not_square(tmp_path):
    crops = [*CROPS[:7], b"\xff\xd8 cut off", *CROPS[8:]]
    photographs, _ = read_insightface_bin(written(tmp_path, (crops, SAME)))
    with pytest.raises(UserError, match=r"image 7 of .*set\.bin is corrupt or truncated"):
        list(photographs.read(photographs.names))
    crops = [*CROPS[:7], encoded(picture(7, 112, 96)), *CROPS[8:]]
    dataset = open_dataset(str(written(tmp_path, (crops, SAME))), None)
    with pytest.raises(UserError, match="000007 has 112x96 pixels"):
        named = list(dataset.photographs.read(["000007"]))
        dataset.alignment().align([name for name, _ in named], [image for _, image in named])


def test_pairs_do_not_go_with_it(tmp_path):
    path = written(tmp_path, (CROPS, SAME))
    with pytest.raises(UserError, match=r"`pairs` does not go with .*set\.bin"):
        open_dataset(str(path), tmp_path / "pairs.txt")


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.tuples(inner),
    max_leaves=20,
)


@given(plain, st.integers(0, 5))
def test_plain_data_is_read_as_python_does(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol=protocol)) == value


@given(st.lists(st.booleans(), min_size=1) | st.binary(min_size=1), st.integers(0, 5))
def test_arrays_are_read_as_numpy_does(values, protocol):
    array = np.frombuffer(values, np.uint8) if isinstance(values, bytes) else np.array(values)
    result = read_pickle(pickle.dumps(array, protocol=protocol))
    assert isinstance(result, PickledArray)
    np.testing.assert_array_equal(np.frombuffer(result.content, array.dtype), array)


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(CodeError, MalformedError):
        read_pickle(content)


@settings(max_examples=300)
@given(st.data())
def test_any_change_of_a_pickle_is_read_or_refused(data):
    whole = FORMS[data.draw(st.sampled_from(sorted(FORMS)))]
    spoilt = bytearray(io.BytesIO(whole).read(3000) + whole[-500:])
    for _ in range(data.draw(st.integers(1, 5))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodeError, MalformedError):
        read_pickle(bytes(spoilt))
