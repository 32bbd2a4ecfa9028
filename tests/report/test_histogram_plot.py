import re
import sys

import cv2
import numpy as np
import pytest

from calibration.histogram import Histogram
from calibration.scales import ScaleTable
from calibration.thresholds import METHODS
from lfw_eval.report.histogram_plot import require_plots, write_plots
from lfw_eval.system.errors import UserError

pytest.importorskip("altair", reason="the extra report is not installed")

ODD = ("../../etc/passwd", "a b:c*?", "A B:C*?", "$x_$", "\x1b[2J\n", "层", "x" * 400, ".")


def counted(values: np.ndarray) -> Histogram:
    histogram = Histogram(float(np.abs(values).max()))
    histogram.update(values.astype(np.float32))
    return histogram


@pytest.fixture
def histogram() -> Histogram:
    return counted(np.random.default_rng(1).laplace(size=20_000))


def table_of(method: str, **amax: float) -> ScaleTable:
    return ScaleTable(amax, method, "m", "i", 1)


def column(picture: np.ndarray, bgr: tuple[int, int, int]) -> float:
    """Where, from left to right, a colour stands in the upper half of the picture: 0 to 1."""
    near = np.abs(picture[: len(picture) // 2].astype(int) - bgr).max(axis=2) < 30
    assert near.any()
    return float(np.flatnonzero(near.any(axis=0)).mean() / picture.shape[1])


def test_lines_stand_where_the_thresholds_are(histogram, tmp_path):
    places = []
    for share in (0.25, 0.5, 0.75):
        table = table_of("entropy", block=histogram.amax * share)
        (path,) = write_plots(["block"], {"block": histogram}, table, tmp_path / "plots")
        assert path == tmp_path / "plots" / "block-entropy.png"
        places.append(column(cv2.imread(str(path)), (0, 94, 213)))
    left, middle, right = places
    assert right - middle == pytest.approx(middle - left, abs=0.01)
    assert right - left > 0.35
    largest = column(cv2.imread(str(path))[:, 150:], (0, 0, 0))
    assert largest > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_a_tensor_of_zeros(method, histogram, tmp_path):
    histograms = {"block": histogram, "zero": counted(np.zeros(9))}
    amax = {name: METHODS[method](counts) for name, counts in histograms.items()}
    paths = write_plots(list(histograms), histograms, table_of(method, **amax), tmp_path)
    assert [path.name for path in paths] == [f"block-{method}.png", f"zero-{method}.png"]
    column(cv2.imread(str(paths[0])), (0, 94, 213))


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_odd_names(histogram, tmp_path):
    histograms = dict.fromkeys(ODD, histogram)
    table = table_of("entropy", **dict.fromkeys(ODD, 1.0))
    paths = write_plots(ODD, histograms, table, tmp_path / "plots")
    assert len({path.name.lower() for path in paths}) == len(ODD)
    assert sorted(paths) == sorted((tmp_path / "plots").iterdir())
    for path in paths:
        assert re.fullmatch(r"[a-z0-9_-]{1,130}\.png", path.name)


def test_unknown_tensor_and_missing_extra(histogram, tmp_path, monkeypatch):
    histograms = {"Block35_1_Activation": histogram, "Block35_2_Activation": histogram}
    with pytest.raises(UserError, match="did you mean 'Block35_1_Activation' or"):
        write_plots(["Block35_1_Activaton"], histograms, table_of("entropy"), tmp_path)
    with pytest.raises(UserError, match=r"`plot` '\\x1b'"):
        require_plots(["\x1b"], histograms)
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.partition(".")[0] == "altair"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=re.escape("pip install 'lfw-eval[report]'")):
        require_plots(["Block35_1_Activation"], histograms)
