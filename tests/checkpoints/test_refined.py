"""Refined networks as files: names of their own, and how they say what they are."""

import numpy as np
import onnx
import onnxruntime
from layered_network import any_scales, layered_network

from calibration.cache import CalibrationCache, calibration_cache
from calibration.quantize import QdqTypes, coverage, quantize, quantized_layers
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.refined import mark_refined, refinement_of, with_own_names


def embed(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": images})[0]


def test_computes_the_same_under_names_of_its_own():
    model = layered_network()
    refined, names = with_own_names(model)
    mark_refined(refined, "scale search")
    images = np.random.default_rng(3).normal(size=(2, 3, 160, 160)).astype(np.float32)
    assert np.array_equal(embed(refined, images), embed(model, images))
    assert (refinement_of(refined), refinement_of(model)) == ("scale search", None)
    assert [o.name for o in refined.graph.output] == [o.name for o in model.graph.output]
    computed = {name for node in model.graph.node for name in node.output}
    assert names.keys() == computed - {model.graph.output[0].name}
    assert quantized_layers(refined) == quantized_layers(model)


def test_neither_network_takes_the_cache_of_the_other():
    model = layered_network()
    refined, _ = with_own_names(model)
    for own, other in ((model, refined), (refined, model)):
        cache = CalibrationCache.parse(calibration_cache(any_scales(own), "8.6.1").encode(), "")
        table = cache.to_table()
        assert not coverage(own, table).unscaled
        assert coverage(other, table).scaled == ("input",)


def test_a_name_that_is_taken():
    model = layered_network()
    model.graph.initializer[0].name += "_"
    taken = f"{model.graph.node[0].output[0]}.refined"
    model.graph.initializer[0].name = model.graph.node[0].input[1] = taken
    refined, names = with_own_names(model)
    assert names[model.graph.node[0].output[0]] == f"{taken}_"
    onnx.checker.check_model(refined, full_check=True)


def test_its_file_is_read_as_it_is(tmp_path, monkeypatch):
    """Or else its scale table and caches would not be of what is read."""
    refined, _ = with_own_names(layered_network())
    mark_refined(refined, "scale search")
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))
    path = tmp_path / "refined.onnx"
    onnx.save(refined, path)
    read = onnx.load(open_checkpoint(str(path), "fixed").model)
    assert refinement_of(read) == "scale search"
    types = QdqTypes(unsigned=False)
    assert quantize(read, any_scales(refined), types).graph.node
