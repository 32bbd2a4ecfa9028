import json
from dataclasses import asdict

import pytest

from calibration.scales import ScaleTable
from lfw_eval.system.errors import UserError

TABLE = ScaleTable({"input": 5.4375, "a b: (c)": 0.25, "zero": 0.0}, "entropy", "m", "i", 8)


def test_scale_table_round_trip(tmp_path):
    TABLE.save(tmp_path / "scales.json")
    loaded = ScaleTable.load(tmp_path / "scales.json")
    assert loaded == TABLE
    assert loaded.digest() == TABLE.digest()


def test_an_edited_scale_table(tmp_path):
    path = tmp_path / "scales.json"
    TABLE.save(path)
    written = path.read_text()
    for edited in (
        written.replace("5.4375", "5.5"),
        written.replace('"zero": 0.0', '"one": 0.0'),
        written.replace('"zero": 0.0', '"zero": 0.0, "more": 1.0'),
        written.replace('"crops": 8', '"crops": 512'),
        written.replace('"method": "entropy"', '"method": "minmax"'),
    ):
        assert edited != written
        path.write_text(edited)
        with pytest.raises(UserError, match=r"was edited .* delete it and calibrate again"):
            ScaleTable.load(path)
    # Another layout of the same table is no edit.
    path.write_text(json.dumps(json.loads(written)))
    assert ScaleTable.load(path) == TABLE


def test_a_scale_table_of_version_0_1(tmp_path):
    path = tmp_path / "scales.json"
    path.write_text(json.dumps(asdict(TABLE), indent=1))
    assert ScaleTable.load(path) == TABLE


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '{"amax": {"x": -1}, "method": "", "model": "", "images": "", "crops": 1}',
        '{"amax": {"x": NaN}, "method": "", "model": "", "images": "", "crops": 1}',
        '{"amax": {"x": "1"}, "method": "", "model": "", "images": "", "crops": 1}',
    ],
)
def test_bad_scale_tables(tmp_path, content):
    path = tmp_path / "scales.json"
    path.write_text(content)
    with pytest.raises(UserError, match="calibrate again"):
        ScaleTable.load(path)
