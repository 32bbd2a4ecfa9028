"""TensorRT's messages while it works."""

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

from lfw_eval.system.files import write_atomically


class Messages:
    """Collects warnings and errors; `logger` is passed to TensorRT.

    Attributes:
        warnings: Number of times by text, in order of first appearance.
        errors: In order.
    """

    def __init__(self, trt: ModuleType) -> None:
        self.warnings: Counter[str] = Counter()
        self.errors: list[str] = []
        self.logger = _logger(trt, self)

    def failure(self) -> str:
        """Return the text of the first error, without its place in TensorRT's source."""
        texts = self.errors or list(self.warnings)[-1:]
        if not texts:
            return "no reason given"
        text = one_line(texts[0])
        return text.partition("Error Code ")[2].partition(": ")[2] or text

    def out_of_memory(self) -> bool:
        """Return whether an error says that memory ran out."""
        words = ("out of memory", "outofmemory", "insufficient memory", "workspace", "cudamalloc")
        return any(word in error.lower() for error in self.errors for word in words)

    def text(self) -> str:
        """Return everything, errors first, one message a line."""
        errors = [f"error: {text}" for text in self.errors]
        warnings = [
            f"warning{f' ({count} times)' if count > 1 else ''}: {text}"
            for text, count in self.warnings.items()
        ]
        return "".join(f"{line}\n" for line in errors + warnings)

    def save(self, path: Path) -> None:
        """Write everything, if there is anything."""
        if text := self.text():
            write_atomically(path, text.encode())


def one_line(text: str) -> str:
    """Return a message of TensorRT's without its line breaks."""
    return " ".join(text.split())


def _logger(trt: ModuleType, messages: Messages) -> Any:
    base: Any = trt.ILogger

    class Logger(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (base.Severity.ERROR, base.Severity.INTERNAL_ERROR):
                messages.errors.append(message.strip())
            elif severity == base.Severity.WARNING:
                messages.warnings[message.strip()] += 1

    return Logger()
