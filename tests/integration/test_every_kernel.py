"""Every kernel by many threads: no races, and nothing outside of memory or types."""

from pathlib import Path

import cuda_on_cpu.device
import every_kernel
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule
from cuda_on_cpu.sanitizers import MEMORY, RACES, run_python
from every_kernel import EVERY_SOURCE, run_every_kernel

from lfw_eval.datasets.faces import open_faces
from lfw_eval.datasets.photographs import open_photographs

CARELESS = Path(cuda_on_cpu.device.__file__).with_name("careless.cu")
# The longest sides that JPEG has, and the narrowest that have a face.
EXTREMES = [(1, 1), (1, 300), (19, 90), (20, 20), (20, 65535), (65535, 21)]


@pytest.fixture(scope="module")
def photographs(real_data) -> list[np.ndarray]:
    """Of LFW, a crowd of WIDER's, and some without a face."""
    faces = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in faces.read(sorted(faces.paths)[::2500])]
    wider = open_faces(real_data / "wider_val_120.tgz")
    crowd = next(image.name for image in wider.images if 12 <= len(image.truth.boxes) <= 20)
    images += [pixels for _, pixels in wider.read([crowd])]
    return [*images, np.full((1, 1, 3), 9, np.uint8), np.full((90, 30, 3), 200, np.uint8)]


@pytest.fixture(scope="module")
def expected(photographs, mtcnn_weights):
    results = run_every_kernel(photographs, mtcnn_weights, CpuModule(*EVERY_SOURCE))
    assert sum(len(values) for name, values in results.items() if "probabilities" in name) > 5
    return results


def require_equal(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(actual) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(actual[name], values, name)


@pytest.mark.parametrize("threads", [2, 7, 32])
def test_results_are_the_same_whatever_threads_run_a_block(
    photographs, mtcnn_weights, expected, threads
):
    module = CpuModule(*EVERY_SOURCE, threads=threads)
    require_equal(run_every_kernel(photographs, mtcnn_weights, module), expected)


def run_sanitized(
    photographs: list[np.ndarray],
    weights: dict[str, Path],
    folder: Path,
    threads: int,
    blocks: int,
    sanitizer: str,
) -> dict[str, np.ndarray]:
    inputs, results = folder / "photographs.npz", folder / "results.npz"
    np.savez(inputs, *photographs)
    numbers = map(str, (threads, blocks))
    script = every_kernel.__file__
    done = run_python(sanitizer, [script, inputs, results, *weights.values(), *numbers, sanitizer])
    assert done.returncode == 0, done.stderr
    with np.load(results) as archive:
        return dict(archive)


@pytest.mark.parametrize(("threads", "blocks"), [(7, 1), (1, 7)], ids=["a block", "a grid"])
def test_there_are_no_races_within(photographs, mtcnn_weights, expected, tmp_path, threads, blocks):
    actual = run_sanitized(photographs, mtcnn_weights, tmp_path, threads, blocks, RACES)
    require_equal(actual, expected)


def test_nothing_lies_outside(photographs, mtcnn_weights, expected, tmp_path):
    require_equal(run_sanitized(photographs, mtcnn_weights, tmp_path, 7, 1, MEMORY), expected)


def test_extreme_photographs(mtcnn_weights, tmp_path):
    random = np.random.default_rng(0)
    photographs = [random.integers(0, 256, (*shape, 3), np.uint8) for shape in EXTREMES]
    run_sanitized(photographs, mtcnn_weights, tmp_path, 2, 1, MEMORY)
    run_sanitized([], mtcnn_weights, tmp_path, 2, 1, MEMORY)


def run_carelessly(kernel: str, threads: int, blocks: int, sanitizer: str, *arguments: int) -> str:
    """Return what a sanitizer says of a kernel that takes 40 integers, and `arguments`."""
    code = f"""
import numpy as np
from pathlib import Path
from cuda_on_cpu.device import CpuDevice, CpuModule
module = CpuModule(
    Path({str(CARELESS)!r}), threads={threads}, blocks={blocks}, sanitizer={sanitizer!r}
)
memory = np.zeros(40, np.int32)
module.kernel({kernel!r}).launch(
    CpuDevice().stream(), 20, 32, np.uint64(memory.ctypes.data), *map(np.int32, {arguments})
)
"""
    done = run_python(sanitizer, ["-c", code])
    assert done.returncode
    return done.stderr


@pytest.mark.slow
def test_races_are_noticed():
    assert "data race" in run_carelessly("no_barrier", 7, 1, RACES)
    assert "data race" in run_carelessly("count_blocks", 1, 7, RACES)


@pytest.mark.slow
def test_mistakes_with_memory_are_noticed():
    assert "heap-buffer-overflow" in run_carelessly("beyond", 7, 1, MEMORY, 40)
    assert "signed integer overflow" in run_carelessly("beyond", 7, 1, MEMORY, 1 << 22)


@pytest.mark.slow
def test_barriers_that_some_threads_miss_are_noticed():
    module, counts = CpuModule(CARELESS, threads=7), np.zeros(7, np.int32)
    with pytest.raises(AssertionError, match=r"some_wait: .* wait at .*careless\.cu:\d+"):
        module.kernel("some_wait").launch(
            CpuDevice().stream(), 2, 32, np.uint64(counts.ctypes.data)
        )
