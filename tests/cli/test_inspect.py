"""The verb inspect, as a user runs it."""

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused
from pictures import encoded, picture

from lfw_eval.checkpoints.graph_builder import GraphBuilder

pytestmark = pytest.mark.slow


@pytest.fixture
def faces(tmp_path):
    """Twenty people in two files each, which show the same."""
    pairs = ["2\t10"]
    for fold in range(2):
        people = [f"P{10 * fold + index:02d}" for index in range(10)]
        for seed, person in enumerate(people):
            folder = tmp_path / "faces" / person
            folder.mkdir(parents=True)
            for number, suffix in ((1, ".png"), (2, ".bmp")):
                image = picture(100 * fold + seed, 64, 64)
                file = folder / f"{person}_{number:04d}{suffix}"
                file.write_bytes(encoded(image, suffix))
        pairs += [f"{person}\t1\t2" for person in people]
        pairs += [f"{person}\t1\t{people[i - 1]}\t2" for i, person in enumerate(people)]
    (tmp_path / "faces" / "pairs.txt").write_text("\n".join(pairs) + "\n")
    return tmp_path


def clipped() -> onnx.ModelProto:
    """A network that saturates outside of -1 to 1, and has no use for the third channel."""
    graph = GraphBuilder("clipped")
    kernel = np.zeros((2, 3, 1, 1), np.float32)
    kernel[[0, 1], [0, 1]] = 1
    x = graph.convolution("input", "read", kernel)
    limits = [graph.constant(n, np.array(v, np.float32)) for n, v in (("low", -1), ("high", 1))]
    x = graph.node("Clip", [x, *limits], "clipped")
    x = graph.node("AveragePool", [x], "cells", kernel_shape=[8, 8], strides=[8, 8])
    x = graph.node("Flatten", [x], "embedding")
    return graph.model({"input": ["batch", 3, 64, 64]}, {x: ["batch", 128]})


def test_normalisation_is_tried(faces):
    onnx.save(clipped(), faces / "net.onnx")
    run = lfw_eval("inspect", "net.onnx", "--dataset", "faces", "--align", "none", cwd=faces)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0].startswith("file          net.onnx: .onnx, opset 17")
    assert "20 genuine pairs of 20 people and the 380 impostor pairs" in run.stdout
    (likely,) = [line for line in lines if line.startswith(("likely", "perhaps"))]
    assert "--normalisation" in likely
    assert len([line for line in lines if " 1.0000 " in line]) >= 2


def test_a_folder_of_people_without_a_list(faces, tiny_facenet):
    onnx.save(tiny_facenet, faces / "net.onnx")
    (faces / "faces" / "pairs.txt").unlink()
    options = ("--dataset", "faces", "--draw-pairs", "20", "--align", "none")
    run = lfw_eval("inspect", "net.onnx", *options, "--trial-pairs", "16", cwd=faces)
    assert run.returncode == 0, run.stderr
    # Of the 20 pairs, the 10 genuine ones are too few.
    assert "not tried     the data set has 10 genuine pairs" in run.stdout


def test_without_a_trial(faces, tiny_facenet):
    onnx.save(tiny_facenet, faces / "net.onnx")
    run = lfw_eval("inspect", "net.onnx", "--trial-pairs", "0", cwd=faces)
    assert run.returncode == 0, run.stderr
    assert "not tried" in run.stdout
    (faces / "net.onnx").write_bytes(b"no network")
    assert "net.onnx" in refused(lfw_eval("inspect", "net.onnx", cwd=faces))
    assert "no-such.onnx" in refused(lfw_eval("inspect", "no-such.onnx", cwd=faces))
