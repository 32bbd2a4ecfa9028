"""Records of cached files, checked when they are read."""

import json

import pytest

from calibration.records import DamagedError, read_record, write_record

CONTENT = {"seconds": 1.25, "shape": [3, 4], "about": {"engine": "é", "size": None}}


def test_what_was_written_is_read(tmp_path):
    write_record(tmp_path / "folder" / "a.json", CONTENT)
    assert read_record(tmp_path / "folder" / "a.json") == CONTENT
    assert read_record(tmp_path / "b.json") is None
    assert read_record(tmp_path / "folder" / "a.json" / "c.json") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[: len(text) // 2], r"is damaged \(a.json cannot be read\)"),
        (lambda text: "", r"is damaged \(a.json cannot be read\)"),
        (lambda text: text.replace("1.25", "1.75"), r"is damaged \(a.json is not what was writt"),
        (lambda text: text.replace("size", "sise"), r"is damaged \(a.json is not what was writt"),
        (lambda text: "[]", r"is damaged \(a.json is not a record\)"),
        (lambda text: json.dumps(CONTENT), r"is of an earlier version \(a.json has no hash\)"),
    ],
)
def test_what_was_not_written_is_refused(tmp_path, change, reason):
    path = tmp_path / "a.json"
    write_record(path, CONTENT)
    path.write_text(change(path.read_text()))
    with pytest.raises(DamagedError, match=reason):
        read_record(path)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\x00")
    with pytest.raises(DamagedError, match="cannot be read"):
        read_record(tmp_path / "a.json")
