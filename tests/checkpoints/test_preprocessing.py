import numpy as np
import onnx
import onnxruntime
import pytest
from colour_network import colour_network

from lfw_eval.checkpoints.conversion import convert, normalisation_of
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.checkpoints.preprocessing import Preprocessing
from lfw_eval.system.errors import UserError

IMAGENET = "123.675,116.28,103.53,58.395,57.12,57.375"
CROPS = np.random.default_rng(0).integers(0, 256, (2, 40, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    return colour_network()


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (embeddings,) = session.run(None, {session.get_inputs()[0].name: values})
    return embeddings


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("fixed", "fixed"),
        ("per-image BGR", "per-image BGR"),
        ("127.5,128", "fixed"),
        ("127.5, 127.5", "arcface"),
        ("0,255 BGR", "unit BGR"),
        ("0,1", "none"),
        ("127.5,127.5,127.5,128,128,128", "fixed"),
        ("104,117,123,1,1,1", "104,117,123,1,1,1"),
        (IMAGENET, IMAGENET),
        ("100.0,64.25", "100,64.25"),
    ],
)
def test_the_text(text, canonical):
    assert str(Preprocessing.parse(text)) == canonical
    assert Preprocessing.parse(canonical) == Preprocessing.parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("imagenet", "'imagenet' is unknown; choose per-image, fixed, .* or MEAN,STD"),
        ("", "'' is unknown"),
        ("127.5", "has 1 number; give mean and deviation"),
        ("1,2,3", "has 3 numbers; give mean and deviation"),
        ("127.5,0", "must be finite numbers, deviations above 0"),
        ("127.5,-128", "must be finite numbers, deviations above 0"),
        ("nan,128", "must be finite numbers"),
        ("127.5,inf", "must be finite numbers"),
        ("0.5,0.5", "is of pixels from 0 to 1; give those from 0 to 255: 127.5,127.5"),
        (
            "0.485,0.456,0.406,0.229,0.224,0.225",
            "is of pixels from 0 to 1; give those from 0 to 255: 123.675,116.28,103.53,58.395,",
        ),
    ],
)
def test_what_is_no_normalisation_is_refused(text, problem):
    with pytest.raises(UserError, match=f"`candidate_normalisation` .*{problem}"):
        Preprocessing.parse(text, "candidate_normalisation")


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize(
    ("normalisation", "mean", "std"),
    [
        ("fixed", 127.5, 128),
        ("none", 0, 1),
        ("100,64", 100, 64),
        (IMAGENET, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    ],
)
def test_the_network_gets_what_it_was_trained_on(network, normalisation, mean, std, order):
    seen = CROPS[..., ::-1] if order == "bgr" else CROPS
    images = ((seen.astype(np.float32) - np.float32(mean)) / np.float32(std)).transpose(0, 3, 1, 2)
    accepting = accept_crops(network, str(Preprocessing(normalisation, order)))
    expected = run(network, np.ascontiguousarray(images))
    np.testing.assert_allclose(
        run(accepting, CROPS), expected, atol=1e-5 * np.abs(expected).max(), rtol=0
    )


@pytest.mark.parametrize("layer_normalisation", [False, True])
def test_per_image_in_bgr(network, layer_normalisation):
    modern = onnx.version_converter.convert_version(network, 17)
    way = {"layer_normalisation": layer_normalisation}
    reversed_crops = np.ascontiguousarray(CROPS[..., ::-1])
    expected = run(accept_crops(modern, "per-image", **way), reversed_crops)
    swapped = run(accept_crops(modern, "per-image BGR", **way), CROPS)
    np.testing.assert_allclose(swapped, expected, atol=1e-5)


def test_the_checkpoint_carries_both(network, tmp_path):
    path = tmp_path / "colours.onnx"
    onnx.save(network, path)
    with pytest.raises(UserError, match=r"does not state how crops are normalised; give `norm"):
        convert(path, channel_order="bgr")
    onnx.save(convert(path, normalisation="100,64", channel_order="bgr"), path)
    assert normalisation_of(onnx.load(path)) == "100,64 BGR"
    assert normalisation_of(convert(path)) == "100,64 BGR"
    assert normalisation_of(convert(path, normalisation="fixed")) == "fixed BGR"
    assert normalisation_of(convert(path, channel_order="rgb")) == "100,64"
    assert normalisation_of(convert(path, default_normalisation="unit")) == "100,64 BGR"
    onnx.save(network, path)
    assert normalisation_of(convert(path, default_normalisation="unit BGR")) == "unit BGR"
    # Of RGB the metadata is that of earlier versions.
    rgb = convert(path, normalisation="fixed", channel_order="rgb")
    assert normalisation_of(rgb) == "fixed"
