import json
from dataclasses import asdict

import pytest

from calibration.sampler import LISTS, choose_images, draw_images, list_text, read_list
from calibration.scales import ScaleTable
from lfw_eval.datasets.pairs import read_pairs
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


def test_draw_is_spread_over_identities_and_in_no_order_of_input():
    names = [f"{person}_{number:04d}" for person in "ABCDE" for number in range(1, 30)]
    drawn = draw_images(names, 10)
    assert sorted(name[0] for name in drawn) == sorted("ABCDE" * 2)
    assert draw_images(names[::-1], 10) == drawn
    assert draw_images(names, 20)[:10] == drawn


def test_images_outside_of_the_pairs_come_first():
    available = [f"P{number}_0001" for number in range(200)]
    chosen = choose_images(available, available[:100])
    assert chosen.evaluated == 0
    assert set(chosen.names) == set(available[100:])
    chosen = choose_images(available, available[:150])
    assert chosen.evaluated == len(chosen.names) == 150


def test_committed_list_is_used_where_its_images_are(real_data):
    """Redraws the list: images that LFW must have, since it numbers them without gaps."""
    pairs = read_pairs(real_data / "pairs.txt")
    last: dict[str, int] = {}
    for name in pairs.names:
        person, _, number = name.rpartition("_")
        last[person] = max(last.get(person, 0), int(number))
    every = {f"{person}_{n:04d}" for person, top in last.items() for n in range(1, top + 1)}
    committed = read_list(LISTS / "lfw.txt")
    assert draw_images(every.difference(pairs.names), 512) == committed
    chosen = choose_images(every, pairs.names)
    assert chosen.names == committed
    assert chosen.evaluated == 0
    assert choose_images(pairs.names, pairs.names).evaluated == 512


def test_a_list_of_the_users_own(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(list_text(["A_0002", "A_0001"]) + "\n")
    chosen = choose_images(["A_0001", "A_0002", "B_0001"], ["A_0001"], path)
    assert chosen.names == ("A_0002", "A_0001")
    assert chosen.evaluated == 1
    with pytest.raises(UserError, match="not in the data set: 1, such as A_0002"):
        choose_images(["A_0001"], [], path)
    path.write_text("\n")
    with pytest.raises(UserError, match="empty"):
        choose_images(["A_0001"], [], path)
    with pytest.raises(UserError, match="cannot be read"):
        choose_images(["A_0001"], [], tmp_path / "none.txt")
