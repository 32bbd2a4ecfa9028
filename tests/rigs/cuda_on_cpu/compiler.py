"""Kernels as a library of the host, which runs a launch block after block."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import lfw_eval.engines.cuda

_HEADERS = Path(lfw_eval.engines.cuda.__file__).parent
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^()]*\)\s*)?(\w+)\s*\(([^()]*)\)'
)
# The options of program.py: no products and sums in one but those of fmaf.
_COMMAND = ["g++", "-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-Wall", "-Werror"]
_LIBRARY = ["-shared", "-fPIC", "-Wno-unknown-pragmas", "-Wno-unused-variable"]


def compiled(sources: Sequence[Path]) -> Path:
    """Return the library, compiled unless it was before."""
    if shutil.which("g++") is None:
        pytest.skip("g++, which compiles kernels for the processor, is not installed")
    folders = [_HEADERS, *dict.fromkeys(source.parent for source in sources)]
    text = _library(sources)
    inputs = [*sources, *(header for place in folders for header in sorted(place.glob("*.cuh")))]
    content = [*_COMMAND, *_LIBRARY, text, *(path.read_text() for path in inputs)]
    content += [header.read_text() for header in Path(__file__).parent.glob("*.hpp")]
    key = hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"cuda_on_cpu_{os.getuid()}" / f"{key}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            source, result = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
            source.write_text(text)
            includes = [f"-I{place}" for place in (Path(__file__).parent, *folders)]
            command = [*_COMMAND, *_LIBRARY, *includes, source, "-o", result]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            result.replace(library)
    return library


def _library(sources: Sequence[Path]) -> str:
    """Return C++ that includes the kernels and has a launcher of each."""
    lines = ['#include "cuda.hpp"', *(f'#include "{source.name}"' for source in sources)]
    for source in sources:
        for name, parameters in _KERNEL.findall(_without_comments(source.read_text())):
            lines += _launcher(name, [p.strip() for p in parameters.split(",") if p.strip()])
    return "\n".join(lines) + "\n"


def _launcher(name: str, parameters: list[str]) -> list[str]:
    types = [re.sub(r"(__restrict__\s*)?\w+$", "", parameter) for parameter in parameters]
    sizes = ", ".join(f"sizeof({kind})" for kind in types)
    values = ", ".join(
        f"*static_cast<std::remove_const_t<{kind}>*>(arguments[{place}])"
        for place, kind in enumerate(types)
    )
    return [
        f'extern "C" {{ int count_of_{name} = {len(types)};',
        f"static int table_of_{name}[] = {{{sizes or 0}}};",
        f"int* sizes_of_{name} = table_of_{name};",
        f"void launch_{name}(unsigned x, unsigned y, unsigned z, void** arguments) {{",
        "    gridDim = {x, y, z};",
        "    for (unsigned k = 0; k < z; ++k) for (unsigned j = 0; j < y; ++j)",
        "        for (unsigned i = 0; i < x; ++i) {",
        "            blockIdx = {i, j, k};",
        f"            {name}({values});",
        "        }",
        "} }",
    ]


def _without_comments(source: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)
