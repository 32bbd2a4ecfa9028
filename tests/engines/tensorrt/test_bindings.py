"""Our use of TensorRT's Python interface, against the genuine bindings of four versions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command import REPOSITORY
from tensorrt_rig.installation import Bindings
from tensorrt_rig.names import used_names
from tensorrt_rig.versions import WITH_BUILDER, WITHOUT_BUILDER

from lfw_eval.engines import tensorrt

pytestmark = pytest.mark.slow

INSIDE = REPOSITORY / "tests" / "rigs" / "tensorrt_rig" / "inside"
FILES = sorted(Path(tensorrt.__file__).parent.glob("*.py"))

# What our code uses only where the version has a capability.
GUARDED = {
    "calibrators": {"IBuilderConfig.int8_calibrator", "IBuilderConfig.set_calibration_profile"},
    "precision_flags": {
        "BuilderFlag.FP16",
        "BuilderFlag.INT8",
        "BuilderFlag.OBEY_PRECISION_CONSTRAINTS",
        "ILayer.precision",
    },
    "explicit_batch_flag": {"NetworkDefinitionCreationFlag.EXPLICIT_BATCH"},
    "strongly_typed": {"NetworkDefinitionCreationFlag.STRONGLY_TYPED"},
    "optimization_level": {"IBuilderConfig.builder_optimization_level"},
    "shared_profile_is_preview": {"PreviewFeature.PROFILE_SHARING_0806"},
    "progress_monitor": {
        "IProgressMonitor",
        "IProgressMonitor.__init__",
        "IBuilderConfig.progress_monitor",
    },
}
# Where a version lacks one of these, it lacks the names as well; what the other capabilities guard
# stayed for a while after it was of use, or was there before it had to be used.
EXACT = ("calibrators", "precision_flags", "optimization_level", "progress_monitor")

MISSING = """
import json, operator, sys, tensorrt
def is_missing(name):
    try:
        operator.attrgetter(name)(tensorrt)
    except AttributeError:
        return True
print(json.dumps([name for name in sys.argv[1:] if is_missing(name)]))
"""


@pytest.fixture(scope="module", params=[*WITHOUT_BUILDER, "11.4.0"])
def bindings(request) -> Bindings:
    return WITHOUT_BUILDER.get(request.param, WITH_BUILDER).bindings()


@pytest.fixture(scope="module")
def used() -> set[str]:
    return set().union(*map(used_names, FILES))


@pytest.fixture(scope="module")
def missing(bindings, used) -> set[str]:
    return set(json.loads(bindings.run("-c", MISSING, *sorted(used))))


def test_names_are_found(used):
    """One of each way to get at a name."""
    assert used >= {
        "nptype",
        "MemoryPoolType.WORKSPACE",
        "ILogger.Severity.INTERNAL_ERROR",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.parse",
        "ParserError.desc",
        "ITimingCache.serialize",
        "IExecutionContext.execute_async_v3",
        "ProfilingVerbosity.DETAILED",
        "ICudaEngine.create_engine_inspector",
        "EngineInspector.execution_context",
        "LayerInformationFormat.JSON",
    }
    assert used >= set().union(*GUARDED.values())


def test_version_has_what_we_use_of_it(bindings, missing):
    lacks = [name for name in GUARDED if not getattr(bindings.capabilities, name)]
    assert missing <= set().union(*(GUARDED[name] for name in lacks))


@pytest.mark.parametrize("capability", EXACT)
def test_version_has_no_more_than_its_capabilities(bindings, missing, capability):
    has = not GUARDED[capability] & missing
    assert getattr(bindings.capabilities, capability) == has


@pytest.mark.parametrize("version", WITHOUT_BUILDER)
def test_objects_that_tensorrt_calls(version):
    """The tests in `inside`, run in a process that may load the bindings."""
    files = map(str, sorted(INSIDE.glob("*.py")))
    options = ["-q", "--noconftest", "-p", "no:cacheprovider"]
    printed = WITHOUT_BUILDER[version].bindings().run("-m", "pytest", *options, *files)
    assert " passed" in printed


LOAD = """
from lfw_eval.engines.tensorrt.library import load_tensorrt
from lfw_eval.system.errors import UserError
try:
    print(load_tensorrt().__version__)
except UserError as error:
    print(error)
"""


def test_package_is_found(bindings):
    assert bindings.run("-c", LOAD) == f"{bindings.version}\n"


def test_package_whose_libraries_are_missing(tmp_path):
    whole = WITHOUT_BUILDER["10.16.1"].bindings()
    shutil.copytree(
        whole.folder, tmp_path, ignore=shutil.ignore_patterns("lib*"), dirs_exist_ok=True
    )
    said = replace(whole, folder=tmp_path).run("-c", LOAD)
    start = "TensorRT's Python package is installed but cannot be loaded (tensorrt: lib"
    assert said.startswith(start)
    assert "put TensorRT's libraries on LD_LIBRARY_PATH" in said
    assert said.count("\n") == 1
