"""Runtimes that get 8-bit products wrong: noticed by themselves, and given what they get right."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_conv import Conv as ExactConv
from quantized_networks import quantised

from lfw_eval.checkpoints.qdq import level_types
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.int8_adaptation import adapt_int8
from lfw_eval.engines.int8_self_test import EXACT, Int8Exactness, int8_exactness
from lfw_eval.engines.registry import engine_class
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.system.errors import UserError

# What CPUs before VNNI have, whose 8-bit products saturate at 16 bits.
OLD_CPU = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
EMBED = """
import json, sys
from pathlib import Path
import numpy as np
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.openvino import OpenVINOEngine
model, quantization, crops, folder = sys.argv[1:]
request = BuildRequest(Path(model), "fixed", "int8", quantization=quantization)
with OpenVINOEngine.build(request, Path(folder)) as engine:
    values = engine.run({engine.inputs[0].name: np.load(crops)})[engine.outputs[0].name]
    json.dump([engine.arithmetic, engine.adaptation, values.tolist()], sys.stdout)
"""


def exact(model, images):
    return ReferenceEvaluator(model).run(None, {"images": images})[0]


class Conv(ExactConv):
    """Of the images as vpmaddubsw adds: two products at a time, in 16 bits, of unsigned levels."""

    def _run(self, levels, weights, *rest, **options):
        (output,) = super()._run(levels, weights, *rest, **options)
        if weights.shape[2] > 1 or not np.array_equal(levels, np.rint(levels)):
            return (output,)
        zero = 128 if levels.min() < 0 else 0
        scale = np.abs(weights).max() / 127
        factors = np.rint(weights[:, :, 0, 0] / scale)
        products = np.einsum("bchw,oc->bochw", levels + zero, factors)
        pairs = (products[:, :, 0::2] + products[:, :, 1::2]).clip(-(2**15), 2**15 - 1)
        sums = pairs.sum(axis=2) - zero * factors.sum(axis=1)[None, :, None, None]
        return ((sums * scale).astype(output.dtype),)


def saturating(model, images):
    return ReferenceEvaluator(model, new_ops=[Conv]).run(None, {"images": images})[0]


def test_exact_arithmetic_passes():
    assert int8_exactness(exact) == EXACT


def test_saturation_is_noticed():
    assert int8_exactness(saturating) == Int8Exactness(signed=False, unsigned=False)


def test_a_runtime_that_is_wrong_for_int8_alone_is_noticed():
    def run(model, images):
        signed = level_types(model) == {"int8"}
        return exact(model, images) * (1.02 if signed else 1)

    assert int8_exactness(run) == Int8Exactness(signed=False, unsigned=True)


def own_network(kind, network, images, folder):
    return onnx.load(quantised(network, kind, images, folder / "own.onnx"))


def test_networks_are_adapted_to_what_is_wrong(network, images, tmp_path):
    signed = own_network("qdq-s8", network, images, tmp_path)
    unsigned = own_network("qdq-u8", network, images, tmp_path)
    only_unsigned = Int8Exactness(signed=False, unsigned=True)
    neither = Int8Exactness(signed=False, unsigned=False)
    for model, exactness in ((signed, EXACT), (unsigned, EXACT), (unsigned, only_unsigned)):
        adapted = adapt_int8(model, "Q/DQ", exactness, "Runtime 1")
        assert (adapted.model, adapted.adaptation, adapted.simulated) == (model, "", False)
    shifted = adapt_int8(signed, "Q/DQ", only_unsigned, "Runtime 1")
    assert level_types(shifted.model) == {"uint8"}
    assert shifted.adaptation == (
        "int8 activations run as uint8, zero points 128 higher, which is the same: Runtime 1 gets "
        "int8 activations wrong on this machine, by a self-test"
    )
    for model in (signed, unsigned):
        floating = adapt_int8(model, "Q/DQ", neither, "Runtime 1")
        assert floating.simulated
        assert "INT8 is simulated in float32, at the speed of float32" in floating.adaptation


@pytest.mark.parametrize(
    ("kind", "quantization"), [("qoperator-u8", "QOperator"), ("dynamic", "dynamic")]
)
def test_what_cannot_be_rewritten_is_refused(kind, quantization, network, images, tmp_path):
    model = own_network(kind, network, images, tmp_path)
    neither = Int8Exactness(signed=False, unsigned=False)
    with pytest.raises(UserError, match=rf"\({quantization}\) cannot be rewritten; take another"):
        adapt_int8(model, quantization, neither, "Runtime 1")


@pytest.mark.parametrize("kind", ["qdq-u8", "qdq-s8"])
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_engines_run_quantised_networks_as_they_say(name, kind, network, images, crops, tmp_path):
    path = quantised(network, kind, images, tmp_path / "own.onnx")
    request = BuildRequest(path, "fixed", "int8", quantization="Q/DQ")
    with engine_class(name).build(request, tmp_path) as engine:
        values = engine.run({engine.inputs[0].name: crops[:16]})[engine.outputs[0].name]
        assert engine.arithmetic == "int8 and float32"
    assert mean_cosine(expected(path, crops[:16]), values).minimum > 0.999


def expected(path, crops):
    """What Q/DQ nodes say, in float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = ((crops.astype(np.float32) - 127.5) / 128).transpose(0, 3, 1, 2)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qdq-u8", "qdq-s8"])
def test_openvino_on_an_old_cpu_simulates_what_saturates(kind, network, images, crops, tmp_path):
    path = quantised(network, kind, images, tmp_path / "own.onnx")
    np.save(tmp_path / "crops.npy", crops[:16])
    done = subprocess.run(
        [sys.executable, "-c", EMBED, path, "Q/DQ", tmp_path / "crops.npy", tmp_path],
        env={**os.environ, **OLD_CPU},
        capture_output=True,
        text=True,
        check=True,
    )
    arithmetic, adaptation, values = json.loads(done.stdout)
    assert arithmetic == "simulated in float32"
    assert "gets 8-bit products wrong on this machine, by a self-test" in adaptation
    assert mean_cosine(expected(path, crops[:16]), np.array(values)).minimum > 0.999
