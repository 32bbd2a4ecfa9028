import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture

from lfw_eval.datasets import photographs
from lfw_eval.datasets.alignment import ARCFACE_SIZE, LandmarkAlignment, MtcnnAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.ijb import open_ijb
from lfw_eval.metrics.verification.templates import template_embeddings
from lfw_eval.pipelines.test_sets import open_sets
from lfw_eval.system.errors import UserError

MEMBERS = ["1.jpg 4 90", "2.jpg 4 90", "3.jpg 4 91", "4.jpg 17 92", "5.jpg 2000 93", "5b.jpg 2 93"]
POINTS = "30 40 50 40 40 50 32 60 48 60"
REST = "\n".join(f"{line.split()[0]} {POINTS} 1" for line in MEMBERS[1:])
PAIRS = ["4 17 1", "17 2000 0", "2000 2 1", "2 4 0"]


def by_hand(embeddings, image, template, medium, weight):
    """The loops of insightface's evaluation."""
    embeddings_of_templates = []
    for template_id in range(template.max() + 1):
        total = 0
        for media_id in sorted(set(medium[template == template_id])):
            rows = (template == template_id) & (medium == media_id)
            total = total + np.mean(embeddings[image[rows]] * weight[rows, None], axis=0)
        embeddings_of_templates.append(total / np.linalg.norm(total))
    return np.array(embeddings_of_templates)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_templates_are_those_of_insightface(images, templates, media, seed):
    rng = np.random.default_rng(seed)
    members = max(images, templates)
    image = np.concatenate([rng.permutation(images), rng.integers(0, images, members - images)])
    template = np.concatenate([np.arange(templates), rng.integers(0, templates, members)])[:members]
    medium = rng.integers(0, media, members) * 1000 + 7
    weight = rng.uniform(0.1, 1, members).astype(np.float32)
    embeddings = rng.normal(0, 10, (images, 8)).astype(np.float32)
    averaged = template_embeddings(embeddings, image, template, medium, weight)
    assert averaged.dtype == np.float32
    wanted = by_hand(embeddings.astype(np.float64), image, template, medium, weight)
    np.testing.assert_allclose(averaged, wanted, atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(averaged, axis=1), 1, rtol=1e-5)


def test_a_template_without_length_is_named():
    rows = np.arange(2)
    embeddings = np.array([[1, 0], [0, 0]], np.float32)
    with pytest.raises(
        UserError, match="1 of 2 templates cannot be compared, the first is number 1"
    ):
        template_embeddings(embeddings, rows, rows, rows, np.ones(2, np.float32))


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "IJBB"
    (folder / "meta").mkdir(parents=True)
    (folder / "loose_crop").mkdir()
    for seed, line in enumerate(MEMBERS):
        path = folder / "loose_crop" / line.split()[0]
        path.write_bytes(encoded(picture(seed, 90, 80)))
    landmarks = [f"{line.split()[0]} {POINTS} 0.{i + 1}" for i, line in enumerate(MEMBERS)]
    for name, lines in {
        "face_tid_mid": MEMBERS,
        "name_5pts_score": landmarks,
        "template_pair_label": PAIRS,
    }.items():
        (folder / "meta" / f"ijbb_{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_a_release_is_read(release):
    ijb = open_ijb(release)
    assert ijb.images.name == "ijbb"
    assert ijb.images.title == f"IJB-B layout, {release}"
    names = ijb.images.photographs.names
    assert [names[row] for row in ijb.image] == [line.split()[0] for line in MEMBERS]
    assert ijb.template.tolist() == [1, 1, 1, 2, 3, 0]
    assert ijb.medium.tolist() == [90, 90, 91, 92, 93, 93]
    np.testing.assert_allclose(ijb.score, np.arange(1, 7) / 10, rtol=1e-6)
    assert ijb.left.tolist() == [1, 2, 3, 0]
    assert ijb.right.tolist() == [2, 3, 0, 1]
    assert ijb.genuine.tolist() == [True, False, True, False]
    alignment = ijb.images.alignment(ARCFACE_SIZE)
    assert isinstance(alignment, LandmarkAlignment)
    assert isinstance(ijb.images.alignment(), MtcnnAlignment)
    images = dict(ijb.images.photographs.read(names))
    aligned = alignment.align(list(images), list(images.values()))
    assert aligned.detected.all() and aligned.crops.shape == (6, 112, 112, 3)


@pytest.mark.parametrize("verify_images", [False, True])
def test_images_are_verified_where_asked_for(release, monkeypatch, verify_images):
    asked = []

    def hashed(paths, *, verify_images):
        asked.append(verify_images)
        return ["0" * 64 for _ in paths]

    monkeypatch.setattr(photographs, "image_hashes", hashed)
    (paired,) = open_sets([str(release)], verify_images=verify_images)
    assert paired.images.photographs.digest
    assert asked == [verify_images]


def test_a_long_pair_list_in_blocks(release, monkeypatch):
    monkeypatch.setattr("lfw_eval.datasets.ijb._BLOCK", 100)
    path = release / "meta" / "ijbb_template_pair_label.txt"
    path.write_text("\n".join(PAIRS * 100))
    ijb = open_ijb(release)
    assert ijb.left.tolist() == [1, 2, 3, 0] * 100
    assert ijb.left.dtype == np.int32
    lines = PAIRS * 100
    lines[357] = "17 18 0"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match="line 358: expected two templates of the list"):
        open_ijb(release)


@pytest.mark.parametrize(
    ("part", "text", "why"),
    [
        ("face_tid_mid", "", "face_tid_mid.txt is empty"),
        ("face_tid_mid", "1.jpg 4\n", "line 1: expected an image, its template and its medium"),
        ("face_tid_mid", "1.jpg 4 90\n9.jpg 4 x\n", "line 2: expected an image, its template"),
        ("face_tid_mid", "1.jpg 4 9\nmissing.jpg 4 9\n", "line 2: expected missing.jpg, as in the"),
        ("face_tid_mid", f"1.jpg 4 {10**21}\n", "line 1: expected an image, its template"),
        ("name_5pts_score", f"1.jpg {POINTS} \u0663\n{REST}", "line 1: expected an image, ten"),
        ("template_pair_label", f"{10**21} 17 1\n", "line 1: expected two templates"),
        ("template_pair_label", f"{'9' * 5000} 17 1\n", "line 1: expected two templates"),
        ("name_5pts_score", "", "ends after 0 of 6 images"),
        ("name_5pts_score", f"2.jpg {POINTS} 1\n", "line 1: expected 1.jpg, as in the list"),
        ("name_5pts_score", f"1.jpg {POINTS}\n", "line 1: expected an image, ten coordinates"),
        ("name_5pts_score", f"1.jpg {POINTS} nan\n{REST}", "line 1: expected an image, ten"),
        ("name_5pts_score", f"1.jpg {POINTS} high\n{REST}", "line 1: expected an image, ten"),
        ("template_pair_label", "", "template_pair_label.txt is empty"),
        ("template_pair_label", "4 17 1\n4 17\n", "line 2: expected two templates of the list"),
        ("template_pair_label", "4 17 1\n4 2 2\n", "line 2: expected two templates"),
        ("template_pair_label", "4 17 1\n\n4 5 1\n", "line 3: expected two templates"),
        ("template_pair_label", "4 17 1.5\n", "line 1: expected two templates"),
        ("template_pair_label", "4,17,1\n", "line 1: expected two templates"),
        ("template_pair_label", "4 17 1\n17 2 0\n4 2 0\n", "1 genuine and 2 impostor pairs"),
    ],
)
def test_mistakes_name_the_line(release, part, text, why):
    (release / "meta" / f"ijbb_{part}.txt").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=why):
        open_ijb(release)


def test_missing_files(release):
    (release / "loose_crop" / "3.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of the images .* missing, such as .*/3\.jpg"):
        open_ijb(release)
    (release / "meta" / "ijbb_template_pair_label.txt").unlink()
    (release / "loose_crop" / "3.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"pair_label\.txt cannot be read"):
        open_ijb(release)
    (release / "meta" / "ijbb_face_tid_mid.txt").unlink()
    with pytest.raises(UserError, match=r"no ijbb_face_tid_mid.txt or ijbc_face_tid_mid.txt"):
        open_ijb(release)


def test_evaluate_sends_them_to_testsets(release):
    with pytest.raises(UserError, match="evaluate it with lfw-eval testsets"):
        open_dataset(str(release), None)
