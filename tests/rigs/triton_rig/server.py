"""A Triton server of the test's own, on ports of this machine only."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf import text_format
from triton_rig.installation import Installation

# A test module that imports this is skipped where the client is missing.
ModelConfig = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="the extra triton is not installed"
).ModelConfig
from lfw_eval.engines.triton.repository import CONFIG  # noqa: E402

_MODEL = Path(__file__).with_name("model.py")
_SECONDS = 60


class Server:
    """The process, which may be killed and started again on the same ports."""

    def __init__(self, installed: Installation, repository: Path, *options: str) -> None:
        """Start; wait until it answers."""
        self._installed, self._repository, self._options = installed, repository, options
        self.log = repository.parent / "server.log"
        self.http, self.grpc = free_port(), free_port()
        self._process = self._started()

    def address(self, model: str, protocol: str = "grpc") -> str:
        """Return what `--engine` takes."""
        port = self.grpc if protocol == "grpc" else self.http
        return f"triton+{protocol}://127.0.0.1:{port}/{model}"

    def kill(self) -> None:
        """End it at once, as a crash would, with the processes of its models."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for left in Path("/dev/shm").glob(f"{self._shared}*"):
            left.unlink()

    def restart(self) -> None:
        """Start it again after `kill`."""
        self._process = self._started()

    @property
    def _shared(self) -> str:
        return f"lfw_eval_test_{self.grpc}_"

    def _started(self) -> subprocess.Popen[bytes]:
        command = [
            str(self._installed.binary),
            f"--model-repository={self._repository}",
            f"--backend-directory={self._installed.backends}",
            f"--backend-config=python,shm-region-prefix-name={self._shared}",
            "--http-address=127.0.0.1",
            f"--http-port={self.http}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.grpc}",
            "--allow-metrics=false",
            "--exit-on-error=false",
            "--strict-readiness=false",
            "--disable-auto-complete-config",
            *self._options,
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._installed.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _SECONDS
        while not self._ready():
            output = self.log.read_text(errors="replace")[-3000:]
            assert process.poll() is None, f"the server ended: {output}"
            assert time.monotonic() < deadline, f"the server does not answer: {output}"
            time.sleep(0.1)
        return process

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/ready", timeout=5):
                return True
        except OSError:
            return False


def deploy(
    exported: Path,
    repository: Path,
    behaviour: str = "network",
    edit: Callable[[ModelConfig], None] = lambda config: None,
) -> None:
    """Copy an exported model into a repository, with a backend that the server here has.

    Args:
        exported: The model's folder, of ONNX networks.
        repository: Where it goes, under the name in its configuration.
        behaviour: See `model.py`.
        edit: Changes the configuration.
    """
    config = read_config(exported / CONFIG)
    config.ClearField("platform")
    config.backend = "python"
    config.parameters["behaviour"].string_value = behaviour
    edit(config)
    folder = repository / config.name
    shutil.copytree(exported, folder, ignore=shutil.ignore_patterns(CONFIG))
    for version in folder.glob("[0-9]*"):
        shutil.copy(_MODEL, version)
    (folder / CONFIG).write_text(text_format.MessageToString(config))


def read_config(path: Path) -> ModelConfig:
    """Parse a config.pbtxt as Triton does."""
    return text_format.Parse(path.read_text(), ModelConfig())


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
