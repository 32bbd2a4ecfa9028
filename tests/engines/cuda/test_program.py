"""Compilation by NVRTC, which needs no GPU."""

import importlib.util
from pathlib import Path

import cuda_on_cpu.device
import pytest

from lfw_eval.engines.cuda.program import cubin
from lfw_eval.system.errors import UserError

ARITHMETIC = Path(cuda_on_cpu.device.__file__).with_name("arithmetic.cu")
HOPPER = (9, 0)


@pytest.fixture
def nvrtc():
    bindings = pytest.importorskip("cuda.bindings.nvrtc", exc_type=ImportError)
    try:
        bindings.nvrtcVersion()
    except RuntimeError as error:
        pytest.skip(f"NVRTC is not installed ({error})")


@pytest.mark.skipif(importlib.util.find_spec("cuda") is not None, reason="cuda-bindings is there")
def test_without_nvrtc(tmp_path):
    with pytest.raises(UserError, match="NVRTC, which compiles kernels, is missing"):
        cubin((ARITHMETIC,), HOPPER, tmp_path)
    assert not list(tmp_path.iterdir())


def test_code_is_compiled_once(nvrtc, tmp_path):
    code = cubin((ARITHMETIC,), HOPPER, tmp_path)
    assert code.startswith(b"\x7fELF")
    (path,) = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    assert cubin((ARITHMETIC,), HOPPER, tmp_path) == code
    assert path.stat().st_mtime_ns == stamp
    cubin((ARITHMETIC,), (7, 5), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_compiled_again(nvrtc, tmp_path):
    code = cubin((ARITHMETIC,), HOPPER, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert cubin((ARITHMETIC,), HOPPER, tmp_path) == code


def test_an_error_in_a_kernel_says_where(nvrtc, tmp_path):
    source = tmp_path / "wrong.cu"
    source.write_text('extern "C" __global__ void wrong() { nothing(); }\n')
    with pytest.raises(UserError, match=r"(?s)wrong\.cu\(1\): error"):
        cubin((source,), HOPPER, tmp_path / "cubins")
    assert not list((tmp_path / "cubins").iterdir())
