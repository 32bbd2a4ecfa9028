"""Kernels as a library of the host, which runs the blocks of a launch."""

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
_COMMAND = ["g++", "-std=c++17", "-march=native", "-ffp-contract=off", "-Wall", "-Werror"]
_COMMAND += ["-fno-strict-aliasing"]  # kernels read several values at once, as words
_LIBRARY = ["-shared", "-fPIC", "-pthread", "-Wno-unknown-pragmas", "-Wno-unused-variable"]
_LIBRARY += ["-fno-gnu-unique"]  # libraries of the same sources share no variables


def compiled(
    sources: Sequence[Path], *, block_of_threads: bool = False, sanitizer: str = ""
) -> Path:
    """Return the library, compiled unless it was before.

    Args:
        sources: As `load_program` takes them.
        block_of_threads: Whether several threads run a block, or one.
        sanitizer: Of GCC, such as "thread"; the process has to have loaded its library first.
    """
    if shutil.which("g++") is None:
        pytest.skip("g++, which compiles kernels for the processor, is not installed")
    folders = [_HEADERS, *dict.fromkeys(source.parent for source in sources)]
    text = _library(sources)
    inputs = [*sources, *(header for place in folders for header in sorted(place.glob("*.cuh")))]
    options = [*_LIBRARY, *(["-DBLOCK_OF_THREADS"] if block_of_threads else [])]
    options += (
        [f"-fsanitize={sanitizer}", "-fno-sanitize-recover", "-O1", "-g"] if sanitizer else ["-O3"]
    )
    content = [*_COMMAND, *options, text, *(path.read_text() for path in inputs)]
    content += [header.read_text() for header in Path(__file__).parent.glob("*.hpp")]
    key = hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"cuda_on_cpu_{os.getuid()}" / f"{key}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            source, result = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
            source.write_text(text)
            includes = [f"-I{place}" for place in (Path(__file__).parent, *folders)]
            command = [*_COMMAND, *options, *includes, source, "-o", result]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            result.replace(library)
    return library


def kernels_of(source: Path) -> list[tuple[str, str]]:
    """Return names and parameters of a file's kernels."""
    return _KERNEL.findall(_without_comments(source.read_text()))


def _library(sources: Sequence[Path]) -> str:
    """Return C++ that includes the kernels and has a launcher of each."""
    lines = ['#include "cuda.hpp"', *(f'#include "{source.name}"' for source in sources)]
    for source in sources:
        for name, parameters in kernels_of(source):
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
        f"const char* launch_{name}(const dim3* grid, unsigned threads, unsigned shared,",
        "    void** arguments) {",
        f"    return run_grid(*grid, threads, shared, [&] {{ {name}({values}); }});",
        "} }",
    ]


def _without_comments(source: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)
