"""The verb identify on real photographs, and what it refuses."""

import csv
import json

import numpy as np
import pytest
from command import lfw_eval, refused
from scipy.spatial.distance import cdist

from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.results.file import read_result
from lfw_eval.system.errors import UserError

PEOPLE = 60


@pytest.fixture(scope="module")
def lfw_lists(real_data, tmp_path_factory):
    """60 people of LFW with two images or more, and 60 with one."""
    folder = tmp_path_factory.mktemp("lists")
    people = {}
    for name in open_photographs(real_data / "lfw.tgz").names:
        people.setdefault(name.rpartition("_")[0], []).append(name)
    several = [images[:3] for images in people.values() if len(images) > 1][:PEOPLE]
    single = [images for images in people.values() if len(images) == 1][:PEOPLE]
    (folder / "gallery.csv").write_text("\n".join(images[0] for images in several))
    probes = [name for images in several for name in images[1:]]
    probes += [images[0] for images in single]
    (folder / "probes.csv").write_text("name,identity\n" + "\n".join(probes))
    return folder


@pytest.fixture(scope="module")
def lfw_run(lfw_lists, real_data, golden, facenet):
    run = lfw_eval(
        "identify", "--dataset", real_data / "lfw.tgz", "--boxes", golden / "lfw_boxes.csv",
        "--gallery", lfw_lists / "gallery.csv", "--probes", lfw_lists / "probes.csv",
        "--precision", "fp32", "--output", lfw_lists / "result.json",
        cwd=lfw_lists, LFW_EVAL_DATASETS=str(lfw_lists),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return lfw_lists, run


def test_lfw_by_brute_force(lfw_run):
    """From the embeddings that the run left, with a sort of all distances."""
    folder, run = lfw_run
    result = json.loads((folder / "result.json").read_text())["result"]
    (store,) = (folder / "prepared" / "lfw").glob("crops-*")
    (stored,) = store.glob("embeddings-*.npy")
    embeddings = np.load(stored).astype(np.float64)
    with (store / "crops.csv").open() as file:
        row = {name: number for number, name in enumerate(sorted(r[0] for r in csv.reader(file)
                                                                 if r[0] != "image"))}  # fmt: skip
    arrays = np.load(folder / "result.npz")
    gallery, probes = arrays["images.gallery"], arrays["images.probes"]
    assert (len(gallery), len(probes)) == (PEOPLE, len(arrays["reference.outcome.ranks"]))
    unit = embeddings / np.linalg.norm(embeddings, axis=1)[:, None]
    left, right = (unit[[row[name] for name in names]] for names in (probes, gallery))
    distances = cdist(left, right, "sqeuclidean")
    person = np.array([name.rpartition("_")[0] for name in gallery])
    looked_for = np.array([name.rpartition("_")[0] for name in probes])
    order = np.argsort(distances, axis=1)
    match = person[order] == looked_for[:, None]
    mated = match.any(axis=1)
    outcome = result["reference"]["outcome"]
    assert outcome["rank1"]["value"] == np.mean(match[mated, 0])
    assert outcome["rank1"]["value"] > 0.95
    curve = [np.mean(match[mated, :rank].any(axis=1)) for rank in range(1, 21)]
    assert outcome["cmc"] == pytest.approx(curve)
    assert np.array_equal(arrays["reference.outcome.nearest"], order[:, 0])
    nearest = distances.min(axis=1)
    assert arrays["reference.outcome.distances"] == pytest.approx(nearest, abs=1e-5)
    for rate in outcome["tpir"]:
        # As many false positives as the target allows.
        ranked = np.sort(nearest[~mated])
        threshold = ranked[int(rate["fpir_target"] * len(ranked))]
        assert rate["threshold"] == pytest.approx(threshold, abs=1e-5)
        assert rate["value"] == np.mean(match[mated, 0] & (nearest[mated] < threshold - 1e-6))
    assert "FPIR 0.01 needs about 300 non-mated probes; there are 60" in run.stdout


def test_gate_report_and_history_do_not_take_it(lfw_run):
    folder, _ = lfw_run
    with pytest.raises(UserError, match="is of identification; gate, report and history take"):
        read_result(folder / "result.json")


def test_celebrities_with_int8_and_faiss(facenet, mtcnn_weights, tmp_path):
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    run = lfw_eval(
        "identify", "--dataset", "celebrities", "--index", "faiss", "--output", "r.json",
        cwd=tmp_path, LFW_EVAL_DATASETS=str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "r.json").read_text())["result"]
    assert (result["data"]["people"], result["data"]["mated"]) == (5, 113)
    reference, candidate = result["reference"], result["candidate"]
    assert reference["outcome"]["rank1"]["value"] > 0.93
    assert candidate["outcome"]["cmc"][4] == 1
    assert candidate["search"]["recall"] == 1
    change = result["rank1_change"]
    difference = candidate["outcome"]["rank1"]["value"] - reference["outcome"]["rank1"]["value"]
    lost, gained = change["right_to_wrong"], change["wrong_to_right"]
    assert (gained - lost) / 113 == pytest.approx(difference)
    assert "no TPIR: there are no non-mated probes" in run.stdout
    assert "OF THEM ARE ALSO EVALUATED" in run.stdout


def test_refused(tmp_path, facenet, mtcnn_weights):
    def identify(*arguments):
        return refused(lfw_eval("identify", "--dataset", "celebrities", *arguments, cwd=tmp_path))

    (tmp_path / "list").write_text("nobody_0001\n")
    assert "give both lists or neither" in identify("--gallery", "list")
    assert "that are not in the data set" in identify("--gallery", "list", "--probes", "list")
    assert "must end in .json" in identify("--output", "result.txt")
    assert not (tmp_path / "results").exists()
