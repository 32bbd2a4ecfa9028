"""What each version of TensorRT is taken to be able to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.cache import header_digits
from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.system.errors import UserError

PROPERTIES = (
    "calibrators",
    "precision_flags",
    "strongly_typed",
    "explicit_batch_flag",
    "optimization_level",
    "layer_normalisation",
    "shared_profile",
    "shared_profile_is_preview",
    "progress_monitor",
)
IMPLICIT = {"calibrators", "precision_flags"}
SINCE_8_6 = {"optimization_level", "layer_normalisation", "shared_profile"}
PREVIEW = {"explicit_batch_flag", "shared_profile_is_preview"}


@pytest.mark.parametrize(
    ("version", "rtx", "title", "release", "able"),
    [
        ("8.5.3", False, "TensorRT 8.5.3", "8.5.3", IMPLICIT | {"explicit_batch_flag"}),
        ("8.6.1", False, "TensorRT 8.6.1", "8.6.1", IMPLICIT | SINCE_8_6 | PREVIEW),
        ("10.3.0", False, "TensorRT 10.3.0", "10.3.0", IMPLICIT | SINCE_8_6 | {"progress_monitor"}),
        (
            "10.16.1.11",
            False,
            "TensorRT 10.16.1.11",
            "10.16.1",
            IMPLICIT | SINCE_8_6 | {"progress_monitor"},
        ),
        (
            "11.4.0.106",
            False,
            "TensorRT 11.4.0.106",
            "11.4.0",
            SINCE_8_6 | {"strongly_typed", "progress_monitor"},
        ),
        (
            "1.7.1.13",
            True,
            "TensorRT-RTX 1.7.1.13",
            "1.7.1",
            SINCE_8_6 | {"strongly_typed", "progress_monitor"},
        ),
    ],
)
def test_capabilities(version, rtx, title, release, able):
    capabilities = Capabilities.of(version, rtx=rtx)
    assert {name for name in PROPERTIES if getattr(capabilities, name)} == able
    assert (capabilities.title, capabilities.release) == (title, release)


@pytest.mark.parametrize("version", ["8.4.3.1", "8.4", "7.2.3", "1.7.1"])
def test_too_old(version):
    with pytest.raises(UserError) as error:
        Capabilities.of(version)
    assert str(error.value) == (f"TensorRT {version} is too old; install TensorRT 8.5 or newer")


@pytest.mark.parametrize(
    ("version", "release"),
    [("8.5", "8.5.0"), ("8.6.1.post1", "8.6.1"), ("10.0.0b6", "10.0.0"), ("10.1.0.27+x", "10.1.0")],
)
def test_release(version, release):
    assert Capabilities.of(version).release == release


@given(st.sampled_from([8, 9, 10]), st.integers(5, 20), st.integers(0, 20), st.integers(0, 300))
def test_a_version_with_calibrators_has_a_cache_header(major, minor, patch, build):
    capabilities = Capabilities.of(f"{major}.{minor}.{patch}.{build}")
    assert capabilities.calibrators
    assert header_digits(capabilities.release) > 0


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_any_version_is_old_or_known(numbers):
    version = ".".join(map(str, numbers))
    if tuple(numbers) < (8, 5):
        with pytest.raises(UserError, match="too old"):
            Capabilities.of(version)
    else:
        capabilities = Capabilities.of(version)
        assert capabilities.calibrators == (numbers[0] < 11)
        assert capabilities.title == f"TensorRT {version}"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("version", ["8.6.1", "11.4.0"])
def test_quantization_of_other_precisions(precision, version):
    capabilities = Capabilities.of(version)
    assert capabilities.quantization(precision, None) is None
    with pytest.raises(UserError) as error:
        capabilities.quantization(precision, "qdq")
    assert str(error.value) == (f"`quantization` qdq is for `precision` int8, not {precision}")


@pytest.mark.parametrize(
    ("version", "asked", "taken"),
    [
        ("8.6.1", None, "cache"),
        ("8.6.1", "cache", "cache"),
        ("8.6.1", "live", "live"),
        ("8.6.1", "qdq", "qdq"),
        ("10.16.1", None, "cache"),
        ("11.4.0", None, "qdq"),
        ("11.4.0", "qdq", "qdq"),
    ],
)
def test_quantization(version, asked, taken):
    assert Capabilities.of(version).quantization("int8", asked) == taken


@pytest.mark.parametrize("asked", ["cache", "live"])
def test_quantization_that_is_gone(asked):
    with pytest.raises(UserError) as error:
        Capabilities.of("11.4.0.106").quantization("int8", asked)
    assert str(error.value) == (
        "TensorRT 11.4.0.106 has no calibrators and reads no calibration cache, so "
        f"`quantization` {asked} is not possible; leave it out: the same scales go in as Q/DQ "
        "nodes"
    )


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("8.6.1", "calibration caches and calibrators (implicit), or"),
        ("10.0.1", "calibration caches and calibrators (implicit), or"),
        ("10.1.0", "calibration caches and calibrators (implicit, deprecated since 10.1), or"),
        ("11.4.0", "(strongly typed; no calibrators)"),
    ],
)
def test_int8_path(version, path):
    assert path in Capabilities.of(version).int8_path()
