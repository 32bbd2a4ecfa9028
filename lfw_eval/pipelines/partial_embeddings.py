"""Embeddings that are finished while others are still being made; they survive Ctrl-C."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lfw_eval.system.files import allocate_array, array_sha256
from lfw_eval.system.records import DamagedError, read_record, write_record


class UnsavedEmbeddings:
    """The embeddings of a crop store so far, which nothing survives.

    Attributes:
        values: float32 (n, dimensions); zeros where `add` was not yet.
        done: Rows that are finished.
        seconds: That they took.
    """

    values: NDArray[np.float32]

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Begin with those of a shape."""
        self.done, self.seconds = 0, 0.0
        self.values = np.zeros(shape, np.float32)

    def add(self, embeddings: NDArray[np.float32]) -> None:
        """Add the next rows."""
        self.values[self.done : self.done + len(embeddings)] = embeddings
        self.done += len(embeddings)

    def save(self) -> None:
        """Write what the next run needs to resume, unless all is done."""

    def finish(self) -> None:
        """Require that all are there.

        Raises:
            RuntimeError: The engine gave too few.
        """
        if self.done != len(self.values):
            raise RuntimeError(f"{self.done} of {len(self.values)} crops have embeddings")


class PartialEmbeddings(UnsavedEmbeddings):
    """The same, memory-mapped, which the next run resumes."""

    values: np.memmap

    def __init__(
        self, path: Path, shape: tuple[int, ...], of: Mapping[str, object], *, resume: bool
    ) -> None:
        """Resume what an interrupted run of the same finished, if it is what that run wrote.

        Args:
            path: The file of all embeddings.
            shape: Of all of them.
            of: What they are of.
            resume: False starts anew.

        Raises:
            UserError: The disk is full.
        """
        self._final = path
        self._path, self._record = path.with_suffix(".part.npy"), path.with_suffix(".part.json")
        self._of = dict(of)
        self.done, self.seconds = 0, 0.0
        with suppress(OSError, ValueError, DamagedError):
            if resume and (saved := read_record(self._record)) and saved["of"] == self._of:
                self.values = open_memmap(self._path, mode="r+")
                whole = self.values.shape == shape and self.values.dtype == np.float32
                if whole and self._sha256(saved["done"]) == saved["sha256"]:
                    self.done, self.seconds = saved["done"], saved["seconds"]
        if not self.done:
            self.values = allocate_array(self._path, shape, np.float32)

    def save(self) -> None:
        """Write what the next run needs to resume, unless all is done."""
        if 0 < self.done < len(self.values):
            content = {
                "done": self.done,
                "seconds": self.seconds,
                "sha256": self._sha256(self.done),
            }
            write_record(self._record, {"of": self._of, **content})

    def finish(self) -> None:
        """Move the embeddings to their final path.

        Raises:
            RuntimeError: The engine gave too few.
        """
        super().finish()
        self.values.flush()
        self._path.replace(self._final)
        self._record.unlink(missing_ok=True)

    def _sha256(self, rows: int) -> str:
        """Return the hash of the first rows."""
        return array_sha256(self.values[:rows])
