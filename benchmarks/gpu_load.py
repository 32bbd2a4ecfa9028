"""How busy a GPU is while something runs, as nvidia-smi sees it."""

import subprocess
import threading
import time
from statistics import median

from lfw_eval.engines.cuda.device import Device
from lfw_eval.system.closing import Closing

QUERY = ("utilization.gpu", "memory.used", "power.draw", "clocks.sm")
_EVERY_MS = 100


class GpuLoad(Closing):
    """Samples of a GPU, ten a second; none where nvidia-smi is missing."""

    def __init__(self, device: Device) -> None:
        """Begin to sample."""
        self._samples: list[tuple[float, list[float]]] = []
        self._process: subprocess.Popen[str] | None = None
        command = ["nvidia-smi", f"--id={device.bus_id}", f"--query-gpu={','.join(QUERY)}"]
        command += ["--format=csv,noheader,nounits", f"--loop-ms={_EVERY_MS}"]
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        except OSError:
            return
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def between(self, start: float, end: float) -> dict[str, float]:
        """Return medians of what was sampled between two moments of `time.perf_counter`.

        Of memory it is the maximum. `utilization.gpu` is the share of time, in percent, in which
        any kernel ran.
        """
        rows = [values for moment, values in self._samples if start <= moment <= end]
        columns = dict(zip(QUERY, zip(*rows, strict=True), strict=False))
        return {
            f"{name}{' MiB' if name == 'memory.used' else ''}": (
                max(values) if name == "memory.used" else median(values)
            )
            for name, values in columns.items()
        }

    def close(self) -> None:
        """End the sampling."""
        if self._process:
            self._process.terminate()
            self._process.wait()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        for line in process.stdout:
            try:
                values = [float(value) for value in line.split(",")]
            except ValueError:
                continue  # a column that this GPU does not report
            self._samples.append((time.perf_counter(), values))
