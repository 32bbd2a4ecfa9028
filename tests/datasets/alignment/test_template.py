from pathlib import Path

import numpy as np
import pytest

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import arcface_template, read_template
from lfw_eval.datasets.alignment.template import ARCFACE_POINTS
from lfw_eval.system.errors import UserError

SPHEREFACE = (
    "[[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], "
    "[33.5493, 92.3655], [62.7299, 92.2041]]"
)


def written(folder: Path, height="112", width="96", points=SPHEREFACE, more="") -> Path:
    path = folder / "mine.toml"
    path.write_text(f"height = {height}\nwidth = {width}\npoints = {points}\n{more}\n")
    return path


def test_sphereface_is_arcface_less_8_columns(tmp_path):
    template = arcface_template(CropSize(112, 96))
    np.testing.assert_allclose(template.points, ARCFACE_POINTS - [8, 0])
    assert template.words == "112x96, SphereFace's template"
    np.testing.assert_allclose(template.points, read_template(written(tmp_path)).points, atol=1e-9)
    twice = arcface_template(CropSize(224, 192))
    np.testing.assert_allclose(twice.points, 2 * template.points)
    assert twice.words == "224x192, SphereFace's template"


@pytest.mark.parametrize(
    ("size", "points", "words"),
    [
        ((112, 112), ARCFACE_POINTS, "112x112"),
        ((224, 224), 2 * ARCFACE_POINTS, "224x224"),
        ((100, 112), ARCFACE_POINTS - [0, 6], "100x112, ArcFace's template cut"),
        ((224, 160), 2 * ARCFACE_POINTS - [32, 0], "224x160, ArcFace's template cut"),
    ],
)
def test_other_sizes(size, points, words):
    template = arcface_template(CropSize(*size))
    np.testing.assert_array_equal(template.points, points)
    assert (template.size, template.words) == (size, words)


def test_a_crop_without_room_for_the_landmarks_needs_a_template():
    with pytest.raises(UserError, match=r"crops of 112x32 .* no room .*; give a `template`"):
        arcface_template(CropSize(112, 32))


def test_own_templates_grow_with_the_crop(tmp_path):
    template = read_template(written(tmp_path))
    assert template.size == (112, 96)
    assert template.words.startswith("112x96, template mine.toml (sha256 ")
    larger = template.resized(CropSize(168, 144))
    np.testing.assert_allclose(larger.points, 1.5 * template.points)
    with pytest.raises(UserError, match=r"mine\.toml .* is for crops of 112x96 .* takes 96x112"):
        template.resized(CropSize(96, 112))
    moved = read_template(written(tmp_path, points=SPHEREFACE.replace("30.29", "30.30")))
    assert moved.origin != template.origin


EYES = "[30, 50], [65, 50]"
MOUTH = "[33, 92], [62, 92]"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"more": "colour = 1"}, "has the unknown key colour; give height, width and points"),
        ({"height": "112.5"}, "height must be a whole number from 32 to 2048, not 112.5"),
        ({"width": "true"}, "width must be a whole number .*, not True"),
        ({"width": "8"}, "width must be a whole number"),
        ({"points": '"five"'}, "points must be five, not 'five'; give five"),
        ({"points": f"[{EYES}, {MOUTH}]"}, "points must be five, not 4; give five .*: left eye, "),
        ({"points": f"[{EYES}, [48], {MOUTH}]"}, r"the nose must be \[x, y\], not \[48\]"),
        ({"points": f"[{EYES}, [48, nan], {MOUTH}]"}, r"the nose must be \[x, y\]"),
        ({"points": f"[{EYES}, [48, true], {MOUTH}]"}, r"the nose must be \[x, y\]"),
        (
            {"points": f"[[30, 50], [100, 50], [48, 71], {MOUTH}]"},
            "the right eye at x 100, y 50 is outside of a crop 112 high and 96 wide",
        ),
        (
            {"points": f"[{EYES}, [48, 71], [92, 33], [100, 62]]"},
            r"the right mouth corner at x 100, y 62 is outside .*; give \[x, y\] in pixels of the",
        ),
        (
            {"points": f"[[65, 50], [30, 50], [48, 71], {MOUTH}]"},
            r"the left one of the eyes is right of the other \(x 65, then 30\); give the left one",
        ),
        (
            {"points": f"[{EYES}, [48, 71], [62, 92], [33, 92]]"},
            "the left one of the corners of the mouth is right of the other",
        ),
        (
            {"points": "[[48, 71], [48, 71], [48, 71], [48, 71], [48, 71]]"},
            "the eyes are less than 4.8 pixels apart",
        ),
        (
            {"points": "[[30, 92], [65, 92], [48, 71], [33, 50], [62, 50]]"},
            r"eyes, nose and mouth must follow from above to below \(y 92, 71, 50\)",
        ),
        (
            {"points": "[[30, 71], [65, 71], [48, 72], [33, 73], [62, 73]]"},
            "eyes, nose and mouth must follow",
        ),
        ({"points": "["}, "not TOML"),
        ({"more": f"# {'x' * 70_000}"}, "more than 65,536 bytes"),
    ],
)
def test_what_is_no_template_is_refused_in_one_sentence(tmp_path, changed, problem):
    path = written(tmp_path, **changed)
    with pytest.raises(UserError, match=f"`template` .*mine.toml: {problem}"):
        read_template(path)


def test_files_that_are_no_templates(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"mine\.toml: not TOML"):
        read_template(tmp_path / "mine.toml")
    (tmp_path / "mine.toml").write_text("height = 112\n")
    with pytest.raises(UserError, match=r"mine\.toml: lacks points; give height, width and points"):
        read_template(tmp_path / "mine.toml")
    for missing in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserError, match=r"`template` .* cannot be read"):
            read_template(missing)
