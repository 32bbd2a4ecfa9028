"""Builds a plan in another process, and waits for it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from lfw_eval.engines.tensorrt.plan import Built, Order
from lfw_eval.errors import UserError


def build_in_process(order: Order, gpu: int) -> Built:
    """Build; the GPU is the only one that the other process sees.

    Ctrl-C ends the build at once and leaves no file.

    Raises:
        UserError: TensorRT cannot build this, or crashed.
    """
    with tempfile.TemporaryDirectory(prefix="lfw-eval-") as folder:
        path = Path(folder) / "order.json"
        order.save(path)
        errors = Path(folder) / "stderr.txt"
        with (
            errors.open("wb") as stderr,
            subprocess.Popen(
                [sys.executable, "-m", "lfw_eval.engines.tensorrt.plan", str(path)],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": _visible(gpu)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                # Ctrl-C reaches this process alone, and this one ends the other.
                start_new_session=True,
            ) as process,
        ):
            try:
                return _follow(process, order)
            except BaseException:
                process.kill()
                raise
            finally:
                if process.poll() is None:
                    process.wait()
                if process.returncode not in (0, -9):
                    _keep(errors, Path(order.log))


def _follow(process: "subprocess.Popen[str]", order: Order) -> Built:
    assert process.stdout is not None
    title = f"build {order.precision}"
    bar = tqdm(desc=f"{title} (minutes)", disable=None, bar_format="{desc}: {elapsed}")
    with bar, _ticking(bar):
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                # TensorRT's libraries print things of their own.
                continue
            if "error" in said:
                raise UserError(said["error"])
            if "built" in said:
                return Built(**said["built"])
            bar.set_description_str(f"{title}, {said['phase']} {said['step']}/{said['steps']}")
    process.wait()
    raise UserError(
        f"TensorRT's builder ended without an answer (exit code {process.returncode}); "
        f"what it printed is in {order.log}; lfw-eval doctor checks the installation"
    )


@contextmanager
def _ticking(bar: "tqdm[None]") -> Iterator[None]:
    """Show the time that passes; before version 10 TensorRT says nothing while it builds."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(1):
            bar.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _visible(gpu: int) -> str:
    """The GPU's name in an environment that may already hide some."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[gpu] if gpu < len(visible) else str(gpu)


def _keep(errors: Path, log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(errors.read_bytes())
