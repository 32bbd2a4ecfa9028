"""Built engines on disk, each under a key of all that it was built from."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import calibration
from lfw_eval import checkpoints
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.files import file_sha256, python_digest, write_atomically


@dataclass(frozen=True)
class EngineStore:
    """The place of one engine: `<key>.blob`, and `<key>.json` that says what it was built from.

    Attributes:
        folder: Where engines are kept.
        built_from: Model bytes, precision, normalisation, scale table, builder options, runtime
            version, device name and the code that turns the model into the built network.
    """

    folder: Path
    built_from: dict[str, object]

    @classmethod
    def of(
        cls, folder: Path, request: BuildRequest, runtime: str, device: str, options: dict[str, str]
    ) -> "EngineStore":
        """Return the place of the engine that these would build."""
        code = [Path(str(module.__file__)).parent for module in (calibration, checkpoints)]
        return cls(
            folder,
            {
                "model": file_sha256(request.model),
                "normalisation": request.normalisation,
                "precision": request.precision,
                "scales": request.scales.digest() if request.scales else None,
                "runtime": runtime,
                "device": device,
                "options": options,
                "code": [python_digest(path) for path in code],
            },
        )

    @property
    def key(self) -> str:
        """16 hexadecimal digits that differ whenever the build could."""
        content = json.dumps(self.built_from, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def load(self) -> bytes | None:
        """Return the engine, or None where it was not built or its file is damaged."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
            content = self._blob.read_bytes()
        except (OSError, ValueError):
            return None
        return content if record.get("sha256") == hashlib.sha256(content).hexdigest() else None

    def save(self, content: bytes) -> None:
        """Keep a built engine."""
        write_atomically(self._blob, content)
        record = {**self.built_from, "sha256": hashlib.sha256(content).hexdigest()}
        write_atomically(self._record, (json.dumps(record, indent=1) + "\n").encode())

    @property
    def _blob(self) -> Path:
        return self.folder / f"{self.key}.blob"

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.key}.json"
