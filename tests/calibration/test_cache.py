import math
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.cache import (
    CalibrationCache,
    cache_name,
    calibration_cache,
    changes,
    header_digits,
)
from calibration.scales import ScaleTable
from lfw_eval.system.errors import UserError

INTERNAL = "(Unnamed Layer* 39) [Constant]_output"


def table(amax: dict[str, float], method: str = "entropy") -> ScaleTable:
    return ScaleTable(amax=amax, method=method, model="m", images="i", crops=8)


def parse(text: str) -> CalibrationCache:
    return CalibrationCache.parse(text.encode(), "some.cache")


@pytest.mark.parametrize(
    ("version", "digits"),
    [("7.2.3", 7203), ("8.6.0", 8600), ("8.6.1", 8601), ("10.3.0", 100300), ("10.16.1", 101601)],
)
def test_header_digits(version, digits):
    assert header_digits(version) == digits
    assert parse(f"TRT-{digits}-EntropyCalibration2\n").version == version


@pytest.mark.parametrize(
    "version", ["8", "8.6", "eight.6.1", "8.6.1.x-", "", "11.0.0", "6.0.1", "8.600.1"]
)
def test_versions_without_such_a_cache(version):
    with pytest.raises(UserError, match="TensorRT"):
        header_digits(version)


def test_digits_that_no_version_has():
    assert parse("TRT-10300-EntropyCalibration2").version is None


@pytest.mark.parametrize(
    ("method", "name", "header"),
    [
        ("entropy", "trt-8600-entropy2.cache", "TRT-8600-EntropyCalibration2"),
        ("minmax", "trt-8600-minmax.cache", "TRT-8600-MinMaxCalibration"),
        ("percentile", "trt-8600-percentile.cache", "TRT-8600-EntropyCalibration2"),
        ("mse", "trt-8600-mse.cache", "TRT-8600-EntropyCalibration2"),
    ],
)
def test_header_and_name_follow_the_method(method, name, header):
    assert calibration_cache(table({"x": 1.0}, method), "8.6.0").splitlines()[0] == header
    assert cache_name(method, "8.6.0") == name


def test_calibration_cache():
    amax = {"input": 5.4375, "a b: (c)": 0.25, "zero": 0.0, "tiny": 127 * 2.0**-126}
    lines = calibration_cache(table(amax), "8.6.0").splitlines()
    name, _, digits = lines[1].rpartition(": ")
    assert name == "input"
    assert struct.unpack(">f", bytes.fromhex(digits))[0] == pytest.approx(5.4375 / 127, rel=1e-7)
    assert lines[2].startswith("a b: (c): 3b")
    assert lines[3] == "zero: 0"
    assert lines[4] == "tiny: 800000"


names = st.text(
    st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=20
)
finite = st.integers(0, 0x7F7F_FFFF)
newlines = st.sampled_from(["\n", "\r\n", " \r\n"])


def hexadecimal(bits: int, style: int) -> str:
    return [f"{bits:x}", f"{bits:X}", f"{bits:08x}", f"{bits:08X}"][style]


@given(
    st.sampled_from(["EntropyCalibration", "MinMaxCalibration", "LegacyCalibration", "New-1"]),
    st.dictionaries(names, st.tuples(finite, st.integers(0, 3), newlines)),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_written_back_byte_for_byte(algorithm, written, newline, ends):
    lines = [f"TRT-8601-{algorithm}{newline}"]
    for name, (bits, style, ending) in written.items():
        lines.append(f"{name}: {hexadecimal(bits, style)}{ending}")
    text = "".join(lines)
    text = text if ends else text.rstrip("\r\n")
    cache = parse(text)
    assert cache.text == text
    assert cache.algorithm == algorithm
    bits = {name: struct.unpack(">I", struct.pack(">f", s))[0] for name, s in cache.scales.items()}
    assert bits == {name: number for name, (number, _, _) in written.items()}
    moved = cache.for_version("10.3.0")
    assert moved.text == text.replace("TRT-8601-", "TRT-100300-", 1)
    assert moved.scales == cache.scales


@given(st.dictionaries(names, st.floats(0, 2.0**100, width=32)))
def test_table_to_cache_to_table(amax):
    """What a cache keeps of a table, float32 scales, goes round without any change."""
    text = calibration_cache(table(amax), "8.6.1")
    read = parse(text)
    assert list(read.scales) == list(amax)
    assert calibration_cache(read.to_table(), "8.6.1") == text
    for name, value in amax.items():
        assert read.to_table().amax[name] == pytest.approx(value, rel=1e-6, abs=1e-42)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_cache_or_refused(tail):
    content = b"TRT-8600-EntropyCalibration2\nx: 3d" + tail
    try:
        cache = CalibrationCache.parse(content, "some.cache")
    except UserError as error:
        assert "some.cache" in str(error)
    else:
        assert cache.text.encode() == content
        assert all(0 <= scale < math.inf for scale in cache.scales.values())


def test_short_upper_case_and_repeated():
    cache = parse("TRT-7103-EntropyCalibration\r\nx: 3D2F60C7\r\ny: 800000\r\nx: 3d2f60c7")
    assert cache.scales == {"x": pytest.approx(0.0428169), "y": 2.0**-126}
    assert (cache.version, cache.algorithm) == ("7.1.3", "EntropyCalibration")


def test_internal_tensors():
    cache = parse(f"TRT-8600-EntropyCalibration2\n{INTERNAL}: 3aaf7e59\nx: 3d2f60c7\n")
    assert list(cache.named) == ["x"]
    assert list(cache.scales) == [INTERNAL, "x"]


HEADER = b"TRT-8600-EntropyCalibration2\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "some.cache is empty"),
        (b"\n", "line 1 is not a header"),
        (b"input: 3d2f60c7\n", "line 1 is not a header"),
        (b"\xef\xbb\xbf" + HEADER, "line 1 is not a header"),
        (b"TRT-8600\n", "line 1 is not a header"),
        (b"ftrt\x00\x00\xff\xfe", "line 1 is not text"),
        (HEADER + b"x: 0\n\xff: 0\n", "line 3 is not text"),
        (HEADER + b"x: 0\n\ny: 0\n", "line 3 is not 'name: scale'"),
        (HEADER + b"x 3d2f60c7\n", "line 2 is not 'name: scale'"),
        (HEADER + b"x: \n", "line 2 is not 'name: scale'"),
        (HEADER + b": 3d\n", "line 2 is not 'name: scale'"),
        (HEADER + b"x: 0x3d\n", "line 2 is not 'name: scale'"),
        (HEADER + b"x: 03d2f60c7\n", "line 2 is not 'name: scale'"),
        (HEADER + b"x: 7f800000\n", "line 2 has a scale that is negative, infinite or NaN"),
        (HEADER + b"x: 7fc00000\n", "line 2 has a scale that is negative, infinite or NaN"),
        (HEADER + b"x: bd2f60c7\n", "line 2 has a scale that is negative, infinite or NaN"),
        (HEADER + b"x: 3d\ny: 0\nx: 3e\n", "line 4 gives tensor 'x' a different scale from line 2"),
        pytest.param(HEADER + b"x: 0\n" * (4 << 20), "larger than 16 MiB", id="large"),
    ],
)
def test_what_is_no_cache_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "some.cache"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as refusal:
        CalibrationCache.load(path)
    assert str(path) in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none\.cache cannot be read"):
        CalibrationCache.load(tmp_path / "none.cache")
    with pytest.raises(UserError, match="cannot be read"):
        CalibrationCache.load(tmp_path)


def test_changes():
    old = {"same": 1.0, "half": 2.0, "was zero": 0.0, "gone": 1.0, "zero": 0.0, "now zero": 1.0}
    new = {"now zero": 0.0, "zero": 0.0, "new": 1.0, "same": 1.0, "half": 1.0, "was zero": 1.0}
    changed = changes(old, new)
    assert [change.name for change in changed][0:3] == ["was zero", "now zero", "half"]
    assert {change.name: change.ratio for change in changed} == {
        "same": 1, "half": 0.5, "was zero": math.inf, "zero": 1, "now zero": 0,
    }  # fmt: skip
    assert [change.relative for change in changed] == [math.inf, 1, 0.5, 0, 0]


def test_genuine_cache(golden):
    path = golden / "facenet_keras_trt8600_entropy2.cache"
    cache = CalibrationCache.load(path)
    assert cache.text.encode() == path.read_bytes()
    assert (cache.version, cache.algorithm) == ("8.6.0", "EntropyCalibration2")
    assert len(cache.scales) == 492
    assert len(cache.named) == 447
    assert cache.scales["input"] == pytest.approx(0.0428169, rel=1e-5)
    assert calibration_cache(cache.to_table(), "8.6.0").encode() == path.read_bytes()


def test_a_header_alone_is_refused(tmp_path):
    path = tmp_path / "head.cache"
    path.write_text("TRT-8600-EntropyCalibration2\n")
    with pytest.raises(UserError, match="no tensor"):
        CalibrationCache.load(path)
