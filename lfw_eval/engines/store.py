"""Built engines on disk, each under a key of all that it was built from."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.network import RECIPE
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, write_atomically
from lfw_eval.system.locks import locked
from lfw_eval.system.records import DamagedError, read_record, say_remade, write_record


@dataclass(frozen=True)
class StoredEngine:
    """A built engine: its file and content, and what was written beside it."""

    path: Path
    content: bytes
    about: Mapping[str, Any]

    def fact(self, name: str, find: Callable[[], Any]) -> Any:
        """Return a fact about the engine, which is found once and written beside it.

        Args:
            find: Returns it, as JSON has it.
        """
        if name in self.about:
            return self.about[name]
        fact, path = find(), self.path.with_suffix(".json")
        # Without room or permission it is found again next time.
        with suppress(DamagedError, UserError):
            if record := read_record(path):
                write_record(path, {**record, "about": {**record["about"], name: fact}})
        return fact


@dataclass(frozen=True)
class EngineStore:
    """The place of one engine: `<key>.engine`, and `<key>.json` that says what it was built from.

    Attributes:
        folder: Where engines are kept.
        built_from: Model bytes, precision, normalisation, scale table, builder options, runtime
            version, device name, and the recipe and the version of ONNX by which the model becomes
            the built network.
    """

    folder: Path
    built_from: dict[str, object]

    @classmethod
    def of(
        cls,
        folder: Path,
        request: BuildRequest,
        runtime: str,
        device: str,
        options: Mapping[str, object],
    ) -> "EngineStore":
        """Return the place of the engine that these would build."""
        return cls(
            folder,
            {
                "model": file_sha256(request.model),
                "normalisation": request.normalisation,
                "precision": request.precision,
                "scales": request.scales.digest() if request.scales else None,
                **({"float layers": request.float_layers} if request.float_layers else {}),
                **({"observed": request.observed} if request.observed else {}),
                "runtime": runtime,
                "device": device,
                "options": dict(options),
                "recipe": RECIPE,
                "onnx": onnx.__version__,
            },
        )

    @property
    def key(self) -> str:
        """16 hexadecimal digits that differ whenever the build could."""
        content = json.dumps(self.built_from, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def load_or_build(self, build: Callable[[], StoredEngine]) -> StoredEngine:
        """Return the engine that was built before, or else build it while others wait.

        Args:
            build: Builds the engine, and saves it by `save`.

        Raises:
            UserError: The runtime cannot build it, or the folder cannot be written to.
        """
        with suppress(DamagedError):
            if stored := self.load():
                return stored
        with locked(self.file(".lock"), "building this engine"):
            try:
                if stored := self.load():
                    return stored
            except DamagedError as error:
                say_remade(self.path, error)
            return build()

    def load(self) -> StoredEngine | None:
        """Return the engine, or None where it was not built.

        Raises:
            DamagedError: Its file, or its record, is not what was written.
        """
        record = read_record(self._record)
        if record is None:
            return None
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise DamagedError(f"is damaged ({error.strerror})") from error
        if record["sha256"] != hashlib.sha256(content).hexdigest():
            raise DamagedError("is damaged (it is not what was written)")
        return StoredEngine(self.path, content, record["about"])

    def save(self, content: bytes, **about: object) -> StoredEngine:
        """Store a built engine, with other facts `about` it."""
        write_atomically(self.path, content)
        digest = hashlib.sha256(content).hexdigest()
        write_record(self._record, {**self.built_from, "about": about, "sha256": digest})
        return StoredEngine(self.path, content, about)

    def file(self, suffix: str) -> Path:
        """Return the path of a file that belongs to the engine."""
        return self.folder / f"{self.key}{suffix}"

    @property
    def path(self) -> Path:
        """The engine's own file."""
        return self.file(".engine")

    @property
    def _record(self) -> Path:
        return self.file(".json")
