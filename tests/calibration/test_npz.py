"""Arrays of damaged .npz files."""

import zipfile
from contextlib import suppress

import numpy as np
import pytest
from damage import damaged

from calibration.npz import read_npz

ARRAYS = {"a": np.arange(50), "b": np.ones((4, 5), np.float32), "text": np.array("words")}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_a_value_error(tmp_path, save):
    path = tmp_path / "arrays.npz"
    save(path, **ARRAYS)
    content = path.read_bytes()
    refused = 0
    for seed in range(300):
        path.write_bytes(damaged(content, seed))
        with suppress(ValueError):
            read_npz(path)
            continue
        refused += 1
    assert refused > 200
    path.write_bytes(content)
    for name, values in read_npz(path).items():
        np.testing.assert_array_equal(values, ARRAYS[name])


def test_pickles_are_not_read(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_npz(tmp_path / "arrays.npz")


def test_a_bomb_is_refused_by_its_directory(tmp_path, monkeypatch):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, a=np.zeros(1 << 20))
    monkeypatch.setattr("calibration.npz._MAX_BYTES", 1 << 20)
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].compress_size < 1 << 14
    with pytest.raises(ValueError, match="claim more than 1,048,576 bytes"):
        read_npz(path)


def test_cases(cases):
    for path in cases.glob("*.npz"):
        with pytest.raises(ValueError, match=r"Invalid argument|decompressing"):
            read_npz(path)
