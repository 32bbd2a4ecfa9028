"""The logger, called as TensorRT calls it."""

import ctypes

import pytest
import tensorrt as trt
from hypothesis import given, settings
from hypothesis import strategies as st
from native import call

from lfw_eval.engines.tensorrt.log import Messages

Severity = trt.ILogger.Severity
SEVERITIES = sorted(Severity.__members__)


@given(st.lists(st.tuples(st.sampled_from(SEVERITIES), st.sampled_from(["a", "b b", "ç"]))))
@settings(deadline=None)
def test_log(said):
    messages = Messages(trt)
    for name, text in said:
        severity = ctypes.c_int32(int(getattr(Severity, name)))
        call(messages.logger, 0, None, severity, ctypes.c_char_p(f"{text}\n".encode()))
    errors = [text for name, text in said if name in ("ERROR", "INTERNAL_ERROR")]
    warnings = [text for name, text in said if name == "WARNING"]
    assert messages.errors == errors
    assert messages.warnings == {text: warnings.count(text) for text in warnings}
    assert list(messages.warnings) == list(dict.fromkeys(warnings)), "in order"
    assert len(messages.text().splitlines()) == len(errors) + len(messages.warnings)


def test_builder_without_a_driver():
    messages = Messages(trt)
    with pytest.raises(TypeError):
        trt.Builder(messages.logger)
    assert messages.failure() == "API Usage Error (CUDA initialization failure with error: 35)"


@pytest.mark.parametrize(
    ("said", "failure", "memory"),
    [
        (
            "2: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no\n"
            "  further information)",
            "OutOfMemory (no further information)",
            True,
        ),
        ("In node 5: unsupported\n", "In node 5: unsupported", False),
        ("Error Code 1: Cuda Runtime (out of memory)", "Cuda Runtime (out of memory)", True),
    ],
)
def test_failure(said, failure, memory):
    messages = Messages(trt)
    messages.logger.log(Severity.ERROR, said)
    messages.logger.log(Severity.ERROR, "Error Code 9: what came of it")
    assert (messages.failure(), messages.out_of_memory()) == (failure, memory)


def test_no_failure():
    messages = Messages(trt)
    assert (messages.failure(), messages.out_of_memory()) == ("no reason given", False)


def test_text():
    messages = Messages(trt)
    for severity, text in (
        (Severity.WARNING, "hot"),
        (Severity.INFO, "never mind"),
        (Severity.ERROR, "out of paper"),
        (Severity.WARNING, "hot"),
        (Severity.WARNING, "wet"),
    ):
        messages.logger.log(severity, text)
    assert messages.text() == "error: out of paper\nwarning (2 times): hot\nwarning: wet\n"
