"""A plan's build in another process."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.store import EngineStore, StoredEngine
from lfw_eval.engines.tensorrt import plan
from lfw_eval.engines.tensorrt.build_order import Built, Order
from lfw_eval.engines.tensorrt.capabilities import Capabilities, Quantization
from lfw_eval.engines.tensorrt.order import make_order
from lfw_eval.system.errors import UserError

_LOG = logging.getLogger(__name__)


def build_plan(
    request: BuildRequest,
    quantization: Quantization | None,
    capabilities: Capabilities,
    store: EngineStore,
    device: str,
    gpu: int,
) -> StoredEngine:
    """Build the plan and store it; the caller holds the store's lock.

    Args:
        device: The GPU's name.
        gpu: Its number.

    Raises:
        UserError: TensorRT cannot build this, or there are no scales that it would take.
    """
    prefix = f"build-{store.key}-"
    store.folder.mkdir(parents=True, exist_ok=True)
    for left in store.folder.glob(f"{prefix}*"):
        # Of a process that was killed; one that still builds this has the lock.
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=prefix) as folder:
        order = make_order(request, quantization, capabilities, store, device, Path(folder))
        built = build_in_process(order, gpu)
        if built.warnings:
            _LOG.warning("TensorRT gave %d warnings: see %s", built.warnings, order.log)
        plan = Path(order.plan).read_bytes()
        return store.save(plan, seconds=built.seconds, warnings=built.warnings)


def build_in_process(order: Order, gpu: int) -> Built:
    """Build; the GPU is the only one that the other process sees.

    Ctrl-C ends the build at once and leaves no file.

    Raises:
        UserError: TensorRT cannot build this, or crashed.
    """
    log = Path(order.log)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="lfw-eval-") as folder:
        path = Path(folder) / "order.json"
        order.save(path)
        printed = Path(folder) / "printed.txt"
        with (
            printed.open("wb") as file,
            subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", plan.__name__, str(path)],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": _visible(gpu)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                # Ctrl-C reaches this process alone, and this one ends the other.
                start_new_session=True,
            ) as process,
        ):
            try:
                answer = _answer(process, order)
            except BaseException:
                process.kill()
                process.wait()
                raise
        if answer is None:
            raise _crash(process.returncode, printed.read_bytes(), log)
    if "error" in answer:
        raise UserError(*answer["error"])
    return Built(**answer["built"])


def _answer(process: "subprocess.Popen[str]", order: Order) -> dict[str, Any] | None:
    """Show how far the build is, and return how it ended; None if it did not say."""
    assert process.stdout is not None
    title = f"build {order.title}"
    bar = tqdm(desc=f"{title} (minutes)", disable=None, bar_format="{desc}: {elapsed}")
    with bar, _ticking(bar):
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "phase" not in message:
                return message
            done = f"{message['step']}/{message['steps']}"
            bar.set_description_str(f"{title}, {message['phase']} {done}")
    return None


def _crash(code: int, printed: bytes, log: Path) -> UserError:
    if code == -signal.SIGKILL:
        return UserError(
            "TensorRT's builder was killed, as the system does when memory runs out",
            "close other programs or take a smaller `batch_size`",
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(printed)
    reason = signal.strsignal(-code) if code < 0 else f"exit code {code}"
    return UserError(
        f"TensorRT's builder ended without an answer ({reason})",
        f"see what it printed in {log}; lfw-eval doctor checks the installation",
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
    """Return the GPU's number in an environment that may already hide some."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return str(gpu) if visible is None else visible.split(",")[gpu]
