"""Progress of a build, as TensorRT 10 and newer report it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

Progress = Callable[[str, int, int], None]
"""Called with the phase, the step and the number of steps."""


def progress_monitor(trt: ModuleType, progress: Progress) -> Any:
    """Report the outermost phase; the phases within it are too many to be read."""
    base: Any = trt.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if not parent:
                self.steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self.steps:
                progress(phase, step + 1, self.steps[phase])
            return True

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

    return Monitor()
