import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from command import lfw_eval, refused
from onnx import TensorProto, helper, numpy_helper

from lfw_eval.checkpoints.conversion import convert
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.cli.main import main
from lfw_eval.sources import checkpoints, locate

HEADER = "TRT-8600-EntropyCalibration2"
INTERNAL = "(Unnamed Layer* 39) [Constant]_output"


@pytest.fixture
def cache(tmp_path):
    path = tmp_path / "old.cache"
    path.write_text(f"{HEADER}\ninput: 3d2f60c7\n{INTERNAL}: 3aaf7e59\na: b: 3c800000\nzero: 0\n")
    return path


@pytest.fixture
def tiny(tmp_path, tiny_facenet):
    """The tiny network, and a cache with the scale 1/32 for each of its tensors."""
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_facenet, path)
    names = ["input", *(name for node in tiny_facenet.graph.node for name in node.output)]
    lines = [HEADER, f"{INTERNAL}: 3aaf7e59", *(f"{name}: 3d000000" for name in names)]
    (tmp_path / "tiny.cache").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def cache_command(tmp_path, monkeypatch, capsys):
    """Runs `lfw-eval cache` in the test's folder, and in its process: a new one takes seconds."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lfw-eval", "cache", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, leaving.value.code, captured.out, captured.err)

    return run


def without(path: Path, *names: str) -> Path:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x for x in lines if x.rpartition(": ")[0] not in names) + "\n")
    return path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_show(cache_command, cache, tmp_path):
    with cache.open("a") as file:
        file.write("\x1b[2J: 3d2f60c7\n")
    run = cache_command("show", cache)
    assert run.returncode == 0, run.stderr
    assert f"TensorRT 8.6.0, EntropyCalibration2 (header {HEADER})" in run.stdout
    assert "5 tensors: 1 internal to TensorRT, 1 with scale 0" in run.stdout
    rows = [line.rsplit(maxsplit=2) for line in run.stdout.splitlines()[4:]]
    assert rows[2] == ["a: b", "0.015625", "1.98438"]
    assert rows[3] == ["zero", "0", "0"]
    assert "\x1b" not in run.stdout


def test_diff(cache_command, cache, tmp_path):
    new = tmp_path / "new.cache"
    new.write_text(cache.read_text())
    run = cache_command("diff", cache, new)
    assert run.returncode == 0, run.stderr
    assert "3 of 3 named tensors within 0.03 of the old scale, median ratio 1.0" in run.stdout
    assert "headers differ" not in run.stdout
    # TensorRT's own tensors and the headers may differ.
    new.write_text(cache.read_text().replace("3aaf7e59", "3d000000").replace("8600", "100300"))
    run = cache_command("diff", cache, new)
    assert run.returncode == 0
    assert "the headers differ" in run.stdout
    new.write_text(cache.read_text().replace("3c800000", "3c840000"))
    run = cache_command("diff", cache, new)
    assert run.returncode == 1
    assert "1.0312" in run.stdout
    assert cache_command("diff", cache, new, "--limit", "0.04").returncode == 0
    new.write_text(cache.read_text().replace("zero: 0", "zero: 3d"))
    run = cache_command("diff", cache, new)
    assert run.returncode == 1
    assert run.stdout.splitlines()[4].split()[0] == "zero"
    assert run.stdout.splitlines()[4].split()[-1] == "inf"
    without(new, "zero")
    run = cache_command("diff", cache, new)
    assert run.returncode == 1
    assert "only in old 1: zero" in run.stdout
    run = cache_command("diff", new, cache)
    assert run.returncode == 1
    assert "only in new 1: zero" in run.stdout
    new.write_text(f"{HEADER}\nother: 0\n")
    run = cache_command("diff", cache, new)
    assert run.returncode == 1
    assert "no named tensor in common" in run.stdout


def test_check(cache_command, tiny, tmp_path):
    cache = tmp_path / "tiny.cache"
    run = cache_command("check", cache, tiny)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every tensor of the network has a scale" in run.stdout
    assert "1 more in the cache are internal to TensorRT" in run.stdout
    assert "Q/DQ        possible" in run.stdout
    onnx.save(fold_affine(onnx.load(tiny)), tmp_path / "folded.onnx")
    run = cache_command("check", cache, tmp_path / "folded.onnx")
    assert run.returncode == 0
    assert "every tensor of the network has a scale" in run.stdout
    assert "unknown     5 tensors of the cache: stem, left, right, up, dense" in run.stdout
    assert "harmless; most likely" in run.stdout
    assert "Q/DQ        possible" in run.stdout
    without(cache, "stem", "left")
    run = cache_command("check", cache, tiny)
    assert run.returncode == 1
    assert "no scale    2 tensors of the network: stem, left" in run.stdout
    assert "folding batch normalisation into the weights removes them all" in run.stdout
    assert "Q/DQ        possible" in run.stdout
    without(cache, "input")
    run = cache_command("check", cache, tiny)
    assert run.returncode == 1
    assert "removes them all" not in run.stdout
    assert "Q/DQ        impossible" in run.stdout
    assert "(input)" in run.stdout


@pytest.mark.parametrize(("shared", "shared_count"), [(False, 0), (True, 1)])
def test_check_against_another_network(cache_command, cache, tiny, shared, shared_count):
    if not shared:
        without(cache, "input")
    run = cache_command("check", cache, tiny)
    assert run.returncode == 1
    assert (
        f"*** THE CACHE HAS {shared_count} OF THE NETWORK'S 20 TENSORS: IT BELONGS TO" in run.stdout
    )
    assert "cache       a: b, zero\n" in run.stdout
    assert f"network     {'' if shared else 'input, '}stem, stem_bn" in run.stdout
    assert "more\n" in run.stdout


def test_check_of_a_cache_that_is_cut_off(cache_command, cache, tiny):
    run = cache_command("check", without(cache, "a: b", "zero"), tiny)
    assert run.returncode == 1
    assert "ANOTHER NETWORK" not in run.stdout
    assert "no scale    19 tensors of the network: stem, stem_bn" in run.stdout
    assert "Q/DQ        impossible" in run.stdout


def test_convert(cache_command, cache, tmp_path):
    content = cache.read_bytes().replace(b"\n", b"\r\n").replace(b"Entropy", b"Odd")
    cache.write_bytes(content)
    run = cache_command("convert", cache, "new.cache", "--tensorrt", "10.3.0")
    assert run.returncode == 0, run.stderr
    written = (tmp_path / "new.cache").read_bytes()
    assert written == content.replace(b"TRT-8600-", b"TRT-100300-")
    assert "4 scales unchanged" in run.stdout
    assert "1 belong to tensors internal to TensorRT" in run.stdout


def test_to_qdq_has_the_scales_of_the_cache(cache_command, tiny, tmp_path):
    arguments = (tmp_path / "tiny.cache", tiny, "qdq.onnx")
    run = cache_command("to-qdq", *arguments)
    assert run.returncode == 0, run.stderr
    network = onnx.load(tmp_path / "qdq.onnx")
    constants = {tensor.name: tensor for tensor in network.graph.initializer}
    nodes = [node for node in network.graph.node if node.op_type == "QuantizeLinear"]
    assert f"{len(nodes)} tensors in signed int8" in run.stdout
    assert len(nodes) >= 6
    for node in nodes:
        assert numpy_helper.to_array(constants[node.input[1]]) == np.float32(1 / 32)
        assert constants[node.input[2]].data_type == TensorProto.INT8
    assert not any(node.op_type == "BatchNormalization" for node in network.graph.node)
    session = onnxruntime.InferenceSession(
        network.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    image = np.zeros((2, 3, 160, 160), np.float32)
    assert session.run(None, {"input": image})[0].shape == (2, 32)


def test_to_qdq_of_an_old_operator_set(cache_command, tiny, tmp_path):
    model = onnx.load(tiny)
    model.opset_import[0].version = 11
    onnx.save(model, tiny)
    run = cache_command("to-qdq", tmp_path / "tiny.cache", tiny, "qdq.onnx")
    assert run.returncode == 0, run.stderr
    assert onnx.load(tmp_path / "qdq.onnx").opset_import[0].version == 13


def test_to_qdq_refusals(cache_command, cache, tiny, tmp_path):
    before = files(tmp_path)

    def refusal(*arguments):
        return refused(cache_command("to-qdq", *arguments))

    complete = tmp_path / "tiny.cache"
    assert "--output tiny.onnx would overwrite MODEL" in refusal(complete, tiny, "./tiny.onnx")
    without(complete, "input", "stem_r", "pool")
    sentence = refusal(complete, tiny, "qdq.onnx")
    assert "no scale for" in sentence
    assert "(input, stem_r" in sentence
    assert "MODEL none.onnx is neither a file nor one of" in refusal(cache, "none.onnx", "qdq.onnx")
    assert "is not a valid ONNX network" in refusal(complete, cache, "qdq.onnx")
    assert "old.onnx cannot be read" in refusal("old.onnx", tiny, "qdq.onnx")
    assert files(tmp_path) == before


def test_weights_outside_of_the_folder_are_not_read(cache_command, tiny, tmp_path):
    """A network that names another file of the machine as its weights."""
    model = onnx.load(tiny)
    weights = model.graph.initializer[0]
    (tmp_path / "secret.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    place = weights.external_data.add(key="location")
    (tmp_path / "inside").mkdir()
    for location in ("../secret.bin", str(tmp_path / "secret.bin")):
        place.value = location
        hostile = tmp_path / "inside" / "hostile.onnx"
        hostile.write_bytes(model.SerializeToString())
        for verb, rest in (("check", ()), ("to-qdq", ("qdq.onnx",))):
            run = cache_command(verb, tmp_path / "tiny.cache", hostile, *rest)
            assert "which is not in its folder" in refused(run)
    place.value = "weights.bin"
    (tmp_path / "secret.bin").rename(tmp_path / "inside" / "weights.bin")
    hostile.write_bytes(model.SerializeToString())
    run = cache_command("to-qdq", tmp_path / "tiny.cache", hostile, "qdq.onnx")
    assert run.returncode == 0, run.stderr


def test_networks_that_cannot_be_quantised(cache_command, tiny, tmp_path):
    cache = tmp_path / "tiny.cache"
    relu = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["stem"])],
        "relu",
        [helper.make_tensor_value_info("input", 1, ["n", 4])],
        [helper.make_tensor_value_info("stem", 1, ["n", 4])],
    )
    onnx.save(helper.make_model(relu), tmp_path / "relu.onnx")
    run = cache_command("to-qdq", cache, "relu.onnx", "qdq.onnx")
    assert "no convolution or dense layer" in refused(run)
    cache_command("to-qdq", cache, tiny, "qdq.onnx")
    run = cache_command("to-qdq", cache, "qdq.onnx", "again.onnx")
    assert "is already quantised (Q/DQ)" in refused(run)
    assert not (tmp_path / "again.onnx").exists()


def test_a_float16_network_is_quantised_in_float32(cache_command, tiny, tmp_path):
    half = onnx.load(tiny)
    for tensor in half.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
        )
    for info in (*half.graph.input, *half.graph.output):
        info.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(half, tmp_path / "half.onnx")
    run = cache_command("to-qdq", tmp_path / "tiny.cache", "half.onnx", "qdq.onnx")
    assert run.returncode == 0, run.stderr
    network = onnx.load(tmp_path / "qdq.onnx")
    assert network.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.checker.check_model(network, full_check=True)


def test_mistakes_are_told_in_one_sentence(cache_command, cache, tmp_path):
    before = files(tmp_path)
    convert = ("convert", cache, "new.cache", "--tensorrt")
    sentence = refused(cache_command(*convert, "11.0.0"))
    assert "does not read calibration caches" in sentence
    assert "lfw-eval cache to-qdq" in sentence
    cache.write_text(f"{HEADER}\ninput: 7fc00000\n")
    for verb, *rest in (
        ("show", cache),
        ("diff", cache, cache),
        ("check", cache, "model.onnx"),
        (*convert, "10.3.0"),
        ("to-qdq", cache, "model.onnx", "qdq.onnx"),
    ):
        assert "old.cache, line 2" in refused(cache_command(verb, *rest))
    assert files(tmp_path) == before


@pytest.fixture(scope="module")
def networks(facenet, tmp_path_factory) -> dict[str, Path]:
    """The default checkpoint with and without its batch normalisations folded."""
    collection = checkpoints()
    source = locate(collection.entries["facenet-keras"], collection)
    unfolded = tmp_path_factory.mktemp("unfolded") / "unfolded.onnx"
    onnx.save(convert(source, normalisation="per-image", fold=False), unfolded)
    return {"folded": facenet.model, "unfolded": unfolded}


def photographs(real_data: Path, golden: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of the golden results, normalised (n, 3, 160, 160), and TensorRT's FP32 embeddings."""
    boxes = [line.split(",") for line in (golden / "lfw_boxes.csv").read_text().splitlines()[1:]]
    rows = {name: (row, *map(float, box)) for row, (name, *box) in enumerate(boxes)}
    images, crop_rows = [], []
    with tarfile.open(real_data / "lfw.tgz") as archive:
        for member in archive:
            name = Path(member.name).stem
            if name not in rows or not member.isfile():
                continue
            row, x, y, w, h = rows[name]
            encoded = np.frombuffer(archive.extractfile(member).read(), np.uint8)
            photograph = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1]
            left, top = max(0, round(x - w / 10)), max(0, round(y - h / 10))
            face = photograph[top : round(y + h * 1.1), left : round(x + w * 1.1)]
            crop = cv2.resize(face, (160, 160)).astype(np.float32)
            images.append((crop - crop.mean()) / max(crop.std(), 1 / np.sqrt(crop.size)))
            crop_rows.append(row)
            if len(crop_rows) == count:
                break
    fp32 = np.load(golden / "embeddings_trt860_fp32.npy")[crop_rows].astype(np.float32)
    return np.stack(images).transpose(0, 3, 1, 2), fp32


@pytest.mark.parametrize(("kind", "unknown"), [("folded", 133), ("unfolded", 0)])
def test_genuine_cache_and_its_network(
    cache_command, golden, real_data, networks, tmp_path, kind, unknown
):
    cache = golden / "facenet_keras_trt8600_entropy2.cache"
    run = cache_command("check", cache, networks[kind])
    assert run.returncode == 0, run.stdout
    assert "every tensor of the network has a scale" in run.stdout
    assert "45 more in the cache are internal to TensorRT" in run.stdout
    assert ("unknown" in run.stdout) == bool(unknown)
    assert not unknown or f"unknown     {unknown} tensors of the cache" in run.stdout
    assert "Q/DQ        possible: all 159 tensors" in run.stdout
    run = cache_command("to-qdq", cache, networks[kind], "qdq.onnx")
    assert run.returncode == 0, run.stderr
    images, fp32 = photographs(real_data, golden, 8)
    session = onnxruntime.InferenceSession(
        tmp_path / "qdq.onnx", providers=["CPUExecutionProvider"]
    )
    (int8,) = session.run(None, {"input": images})
    cosine = (int8 * fp32).sum(1) / np.linalg.norm(int8, axis=1) / np.linalg.norm(fp32, axis=1)
    assert cosine.mean() > 0.998
    assert cosine.min() > 0.995


def test_genuine_cache_for_another_version(cache_command, golden, tmp_path):
    cache = golden / "facenet_keras_trt8600_entropy2.cache"
    run = cache_command("convert", cache, "new.cache", "--tensorrt", "10.3.0")
    assert run.returncode == 0, run.stderr
    assert "492 scales unchanged" in run.stdout
    _, _, scales = cache.read_bytes().partition(b"\n")
    expected = b"TRT-100300-EntropyCalibration2\n" + scales
    assert (tmp_path / "new.cache").read_bytes() == expected
    run = cache_command("diff", cache, "new.cache")
    assert run.returncode == 0
    assert "447 of 447 named tensors" in run.stdout
    run = lfw_eval("cache", "show", cache, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "492 tensors: 45 internal to TensorRT, 0 with scale 0" in run.stdout
