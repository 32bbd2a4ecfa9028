"""What tables say of the types that engines really compute in."""

from dataclasses import replace

from evaluation_results import accuracy_result, speed_result

from lfw_eval.report.tables.accuracy import accuracy_table
from lfw_eval.report.tables.side_by_side import row
from lfw_eval.report.tables.speed import speed_table
from lfw_eval.results.engine import EngineDescription
from lfw_eval.results.executed import ExecutedTypes, Work

FP32 = ExecutedTypes({"float32": Work(50, 1000)}, {})
FALLEN_BACK = ExecutedTypes(
    {"float16": Work(50, 1000)}, {f"conv_{n}": "float16" for n in range(50)}
)
PARTIAL = ExecutedTypes({"int8": Work(49, 975), "float16": Work(1, 25)}, {"conv_7": "float16"})


def table(executed: ExecutedTypes | None) -> str:
    result = accuracy_result(200)
    assert result.candidate

    def with_types(description: EngineDescription, types: ExecutedTypes | None):
        return replace(description, executed=types, runtime="TensorRT 8.6.0")

    reference, candidate = result.reference, result.candidate
    return accuracy_table(
        replace(
            result,
            protocol={**result.protocol, "flip": "none"},
            reference=replace(reference, engine=with_types(reference.engine, FP32)),
            candidate=replace(candidate, engine=with_types(candidate.engine, executed)),
        )
    )


def test_long_cells_do_not_touch():
    types = "int8/float32/unidentified, qdq"
    assert f"float32 (TF32)  {types}" in row("arithmetic", ["float32 (TF32)", types])
    assert row("x" * 30, ["y" * 30, "z"], "+1.00000000000").split() == [
        "x" * 30,
        "y" * 30,
        "z",
        "+1.00000000000",
    ]


def test_no_int8_is_not_called_int8():
    text = table(FALLEN_BACK)
    heading = next(line for line in text.splitlines() if line.endswith("change"))
    assert heading.split() == ["FP32", "0", "%", "INT8", "change"]
    assert (
        "*** INT8 IN NAME ONLY: 0 OF 50 LAYERS, 0 % OF THE MULTIPLY-ADDS; TENSORRT 8.6.0 TOOK "
        "FLOAT16 ***" in text
    )
    assert "50 quantised layers are not INT8: conv_0 (float16), " in text
    assert "and 45 more" in text


def test_a_layer_that_fell_back_is_named():
    lines = table(PARTIAL).splitlines()
    assert any(line.split() == ["FP32", "INT8", "change"] for line in lines)
    assert any("float32 100 %" in line and "int8 97.5 %" in line for line in lines)
    assert any("50 of 50" in line and "49 of 50" in line for line in lines)
    assert any("1 quantised layer is not INT8: conv_7 (float16)" in line for line in lines)
    assert "***" not in "".join(lines)


def test_an_engine_that_does_not_report():
    text = table(None)
    assert "not reported" in text
    assert "how much is INT8 is unknown: TensorRT 8.6.0 does not report it" in text


def test_speed():
    result = speed_result(100)
    reference, measured = result.engines
    fallen = replace(measured, engine=replace(measured.engine, executed=FALLEN_BACK), cosine=1.0)
    text = speed_table(replace(result, engines=(reference, fallen)))
    assert text.startswith("made, 0 % INT8\n")
    assert "int8 0 %, in 0 of 50 layers" in text
    assert "INT8 IN NAME ONLY" in text
    assert text.splitlines()[-1].endswith(" 0 %")
