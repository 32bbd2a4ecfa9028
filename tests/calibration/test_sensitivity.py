import json
import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused

from calibration.quantize import QdqTypes, quantize, quantized_layers
from calibration.scales import ScaleTable
from calibration.sensitivity import EmbeddingError, Mixed, Probe, Sensitivity, embedding_error
from lfw_eval.checkpoints.half import half
from lfw_eval.pipelines.layer_costs import LayerCosts
from lfw_eval.report.tables.sensitivity import mixed_table, sensitivity_table
from lfw_eval.system.errors import UserError

# Folded, a layer is called after what was folded into it.
STEM, LEFT, RIGHT, UP, DENSE = LAYERS = ["stem_bn", "left_bn", "right_bn", "up_scaled", "embedding"]
SERVING = ["pool", "joined", "sum"]
SIGNED = QdqTypes(unsigned=False)


@pytest.fixture(scope="module")
def table(network, images, scale_table) -> ScaleTable:
    # An observed input must be some node's output.
    fed = onnx.ModelProto.FromString(network.SerializeToString())
    fed.graph.node.insert(0, onnx.helper.make_node("Identity", ["images"], ["input"]))
    fed.graph.input[0].name = "images"
    return scale_table(network, fed, [{"images": images}])


def spoilt(table: ScaleTable, tensor: str) -> ScaleTable:
    amax = {**table.amax, tensor: table.amax[tensor] * 0.05}
    return ScaleTable(amax, table.method, table.model, table.images, table.crops)


def quantizing(model: onnx.ModelProto) -> set[str]:
    """Names of the tensors that have Q/DQ."""
    names = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return {name.removesuffix(".dequantized") for name in names}


class CountingProbe(Probe):
    """Counts what it measures; Ctrl-C comes after `limit` networks."""

    def __init__(self, *arguments: object, limit: int = 10**9) -> None:
        super().__init__(*arguments)
        self.skips: list[Collection[str]] = []
        self.limit = limit

    def quantized(self, skip: Collection[str] = ()) -> onnx.ModelProto:
        if len(self.skips) == self.limit:
            raise KeyboardInterrupt
        self.skips.append(skip)
        return super().quantized(skip)


def test_error_by_hand():
    reference = np.array([[3, 4], [1, 0]], dtype=np.float32)
    embeddings = np.array([[4, 3], [2, 0]], dtype=np.float32)
    error = embedding_error(reference, embeddings)
    assert error.cosine == pytest.approx((24 / 25 + 1) / 2)
    assert error.sqnr == pytest.approx(10 * math.log10(26 / 3))
    assert embedding_error(reference, reference) == EmbeddingError(1.0, math.inf)
    with pytest.raises(UserError, match="zero, NaN or infinite"):
        embedding_error(reference, embeddings * 0)


def test_skipped_layers_stay_float(network, table):
    assert quantized_layers(network) == LAYERS
    everything = quantizing(quantize(network, table, SIGNED))
    for name in LAYERS:
        mixed = quantize(network, table, SIGNED, [name])
        (node,) = [node for node in mixed.graph.node if node.name == name]
        (before,) = [node for node in network.graph.node if node.name == name]
        assert list(node.input) == list(before.input)
        assert quantizing(mixed) < everything
        constants = {t.name: t for t in mixed.graph.initializer}
        assert constants[node.input[1]].data_type == onnx.TensorProto.FLOAT
    assert quantize(network, table, SIGNED, LAYERS) == quantize(network, table, SIGNED, set(LAYERS))
    assert not quantizing(quantize(network, table, SIGNED, LAYERS))


def test_what_serves_a_skipped_layer_stays_float_too(network, table):
    def left(*skip: str) -> set[str]:
        mixed = quantize(network, table, SIGNED, skip)
        return {
            node.name
            for node in mixed.graph.node
            if node.name in (*SERVING, *LAYERS)
            and not any(n.endswith(".dequantized") for n in node.input)
        }

    assert left() == set()
    # The concatenation is read by the convolution alone that is fused into the sum.
    assert left(UP) == {UP, "joined", "sum"}
    # The pooling is read by the sum as well.
    assert left(LEFT, RIGHT) == {LEFT, RIGHT}
    assert left(LEFT, RIGHT, UP) == {LEFT, RIGHT, UP, "joined", "sum", "pool"}
    assert left("joined") == {"joined"}


def test_spoilt_scale_ranks_first(network, table, images, tmp_path):
    for tensor, layer in (("joined", UP), ("flat", DENSE), ("input", STEM)):
        # The scale of a concatenation is that of the largest of its tensors.
        names = ("left_r", "right_r", "joined") if tensor == "joined" else (tensor,)
        bad = table
        for name in names:
            bad = spoilt(bad, name)
        ranking = Probe(network, bad, images).sensitivity(tmp_path / f"{tensor}.json")
        assert next(iter(ranking.layers)) == layer
        assert list(ranking.layers.values()) == sorted(
            ranking.layers.values(), key=lambda e: e.cosine
        )
        good = Probe(network, table, images).sensitivity(tmp_path / f"{tensor}-good.json")
        assert ranking.layers[layer].drop > 10 * good.layers[layer].drop
        assert ranking.layers[layer].sqnr < good.layers[layer].sqnr - 10
        for other in set(LAYERS) - {layer}:
            assert ranking.layers[other] == good.layers[other], "the scale is of no other layer"


def test_goes_on_after_an_interruption(network, table, images, tmp_path):
    record = tmp_path / "sensitivity.json"
    expected = Probe(network, table, images).sensitivity(tmp_path / "whole.json")
    first = CountingProbe(network, table, images, limit=3)
    with pytest.raises(KeyboardInterrupt):
        first.sensitivity(record)
    assert not record.exists(), "a reader never sees half a ranking"
    second = CountingProbe(network, table, images)
    assert second.sensitivity(record) == expected
    assert len(second.skips) == len(LAYERS) + 1 - 3
    assert [path.name for path in tmp_path.glob("sensitivity*")] == ["sensitivity.json"]
    assert record.read_bytes() == (tmp_path / "whole.json").read_bytes()
    third = CountingProbe(network, table, images)
    assert third.sensitivity(record) == expected
    assert not third.skips
    other = CountingProbe(network, spoilt(table, "flat"), images)
    assert other.sensitivity(record) != expected, "another table's record does not count"
    assert len(other.skips) == len(LAYERS) + 1


def test_damaged_record_is_measured_again(network, table, images, tmp_path):
    record = tmp_path / "sensitivity.json"
    expected = Probe(network, table, images).sensitivity(record)
    content = json.loads(record.read_text())
    for damaged in ("{", "[]", json.dumps({**content, "layers": [1]}), "null"):
        record.write_text(damaged)
        assert Probe(network, table, images).sensitivity(record) == expected


def test_drop_falls_as_layers_are_left_out(network, table, images, tmp_path):
    probe = Probe(network, spoilt(spoilt(table, "flat"), "input"), images)
    ranking = list(probe.sensitivity(tmp_path / "s.json").layers)
    drops = [probe.error(half(probe.quantized(ranking[:k]))).drop for k in range(len(LAYERS) + 1)]
    assert drops == sorted(drops, reverse=True)
    skipped_counts = []
    for k, drop in enumerate(drops):
        mixed = probe.mixed_network(ranking, drop * 1.0001, half)
        assert mixed.skipped == tuple(ranking[:k])
        assert mixed.error.drop == pytest.approx(drop)
        assert probe.error(mixed.network).drop <= drop * 1.0001
        skipped_counts.append(len(mixed.skipped))
    assert skipped_counts == list(range(len(LAYERS) + 1))


def test_drop_that_cannot_be_reached(network, table, images):
    probe = Probe(network, table, images)
    with pytest.raises(UserError, match="even with all 5 layers"):
        probe.mixed_network(LAYERS, 1e-15, half)
    for drop in (0.0, 1.0, -0.1, math.nan, math.inf):
        with pytest.raises(UserError, match="between 0 and 1"):
            probe.mixed_network(LAYERS, drop, half)


def test_order_by_what_16_bits_gain_for_their_cost():
    layers = {
        name: EmbeddingError(1 - drop, 1) for name, drop in zip("abcd", (4, 3, 2, 1), strict=True)
    }
    measured = Sensitivity(EmbeddingError(-9, 0), layers, 32)
    assert measured.by_cost(dict.fromkeys("abcd", 2.0)) == list("abcd")
    assert measured.by_cost({"a": 8, "b": 3, "c": 1, "d": 0}) == list("dcba")
    assert measured.by_cost({"a": 1, "b": 0, "c": 1, "d": 0}) == list("bdac")


def test_tables(network):
    layers = {f"layer {k}": EmbeddingError(1 - 0.01 / (k + 1), 30 + k) for k in range(25)}
    layers["\x1b[2J"] = EmbeddingError(0.5, 3)
    worst = dict(sorted(layers.items(), key=lambda item: item[1].cosine))
    lines = sensitivity_table(Sensitivity(EmbeddingError(0.4, 2), worst, 32)).splitlines()
    assert "32 of the calibration crops" in lines[0]
    assert lines[2].split() == ["all", "26", "layers", "6.00e-01", "2.0"]
    assert lines[4].split() == ["1", r"'\x1b[2J'", "5.00e-01", "3.0"]
    assert lines[-2].split()[:3] == ["20", "layer", "18"]
    assert lines[-1].strip() == "and 6 more"
    assert len({len(line) for line in lines[1:3] + lines[4:-1]}) == 1, "columns are aligned"
    none = mixed_table(Mixed(network, (), EmbeddingError(0.9999, 40)), 26, 0.0005)
    assert none.startswith("no layer needs 16 bits: cosine 0.999900")
    some = mixed_table(Mixed(network, ("a", "b"), EmbeddingError(0.9999, 40)), 26, 0.0005)
    assert some.splitlines()[0].startswith("2 of 26 layers stay in 16 bits")
    assert some.split()[-2:] == ["a", "b"]
    mixed = Mixed(network, ("a", "b"), EmbeddingError(0.9999, 40))
    timed = LayerCosts({"a": 0.25, "b": 1.0, "c": 7.0}, "ms", "openvino", 50.0)
    assert mixed_table(mixed, 26, 0.0005, timed).splitlines()[1:] == [
        "at a cost of 1.25 ms a batch on openvino, 2.5% of all layers in INT8:",
        "    a  0.25 ms",
        "    b  1.00 ms",
    ]
    counted = LayerCosts({"a": 1e6, "b": 2e6}, "multiply-adds", "dummy", 6e6)
    assert mixed_table(mixed, 26, 0.0005, counted).splitlines()[1:3] == [
        "at a cost of 3,000,000 multiply-adds an image (dummy tells no times), 50.0% of all layers "
        "in INT8:",
        "    a  1,000,000 multiply-adds",
    ]


@pytest.mark.slow
def test_command(small, tiny_facenet, tmp_path):
    pytest.importorskip("vl_convert")
    onnx.save(tiny_facenet, tmp_path / "tiny.onnx")
    environment = {
        f"LFW_EVAL_{name}": str(tmp_path / name) for name in ("CHECKPOINTS", "DATASETS", "CACHES")
    }

    def calibrate(*options: str):
        return lfw_eval(
            "calibrate", "--dataset", small / "faces", "--boxes", small / "boxes.csv",
            "--checkpoint", tmp_path / "tiny.onnx", "--normalisation", "fixed", *options,
            cwd=small, **environment,
        )  # fmt: skip

    assert "between 0 and 1" in refused(calibrate("--max-drop", "nan"))
    assert "give one, or leave it out" in refused(calibrate("--time-on", "openvino"))
    assert "there are openvino" in refused(calibrate("--time-on", "xyz", "--max-drop", "0.1"))
    assert "did you mean 'joined'" in refused(calibrate("--plot", "joind"))
    assert not list(tmp_path.rglob("*.cache")), "refused before any work"
    run = calibrate("--max-drop", "0.9", "--plot", "joined", "--plot", "input")
    assert run.returncode == 0, run.stderr
    assert "no layer needs 16 bits" in run.stdout
    paths = {Path(line).name: Path(line) for line in run.stdout.splitlines() if line[:1] == "/"}
    assert paths["joined-entropy.png"].parent.name == "plots"
    assert {"input-entropy.png", "sensitivity-entropy.json"} <= paths.keys()
    assert (
        paths["int8-entropy-qdq-mixed-fp16.onnx"].read_bytes()
        == paths["int8-entropy-qdq-fp16.onnx"].read_bytes()
    )
    drop = json.loads(paths["sensitivity-entropy.json"].read_text())["network"]["cosine"]
    run = calibrate("--max-drop", str((1 - drop) / 2))
    assert run.returncode == 0, run.stderr
    assert " of 5 layers stay in 16 bits: cosine" in run.stdout
    assert " ms a batch on " not in run.stdout
    mixed = quantizing(onnx.load(paths["int8-entropy-qdq-mixed-fp16.onnx"]))
    assert mixed < quantizing(onnx.load(paths["int8-entropy-qdq-fp16.onnx"]))
    timed = calibrate("--max-drop", str((1 - drop) / 2), "--time-on", "openvino")
    assert timed.returncode == 0, timed.stderr
    assert " ms a batch on openvino, " in timed.stdout
