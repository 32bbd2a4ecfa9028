"""Run the steps of a refinement; keep those that gain."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

from calibration.files import write_atomically
from calibration.records import DamagedError, read_record, say_remade, write_record
from calibration.refinement import RECIPE
from calibration.refinement.contract import Candidate, Images, Step
from calibration.refinement.measure import Fidelity, Measure

TOLERANCE = 1e-4
"""How far a preserving step may move embeddings, by their largest value."""


@dataclass(frozen=True)
class Gain:
    """What a step did, measured in INT8 on the held-out images.

    Attributes:
        step: Its name.
        before: Without it.
        after: With it.
        undone: Whether it gained nothing, and the refinement goes on without it.
    """

    step: str
    before: Fidelity
    after: Fidelity
    undone: bool


@dataclass(frozen=True, eq=False)
class Refinement:
    """The outcome of a refinement.

    Attributes:
        equalised: After the last of the steps that preserve the FP32 function.
        refined: After all steps: for INT8 alone.
        start: How near the original in INT8 is, as calibrated.
        gains: By step, in their order.
    """

    equalised: Candidate
    refined: Candidate
    start: Fidelity
    gains: tuple[Gain, ...]


def refine(original: Candidate, images: Images, steps: Sequence[Step], folder: Path) -> Refinement:
    """Run steps in turn, and undo those that do not raise the mean cosine of the held-out images.

    Steps that preserve the FP32 function come first. After Ctrl-C, or a kill, a rerun resumes with
    the step that was interrupted. The caller holds the folder's lock.

    Args:
        original: The network and its thresholds; embeddings are compared with this network's.
        images: Those to fit on, and those to judge by.
        steps: All with other names.
        folder: For a network and a record per step.
    """
    measure = Measure(original.model, images.held_out)
    candidate = equalised = original
    start = current = measure.int8(candidate)
    gains = []
    key = _key(original, images)
    with tqdm(total=len(steps), desc="refine", unit="step", disable=None) as bar:
        for step in steps:
            bar.set_postfix_str(step.name)
            key = hashlib.sha256(f"{key} {step.name} {step.recipe}".encode()).hexdigest()
            files = _Files(folder, step.name, key)
            result = files.read()
            if result is None:
                trial = step(candidate, equalised.model, images.fitting)
                after = measure.int8(trial)
                undone = after.cosine <= current.cosine or (
                    step.preserving and not _preserved(measure, trial.model)
                )
                gain = Gain(step.name, current, after, undone)
                files.write(candidate if undone else trial, gain)
            else:
                trial, gain = result
            if not gain.undone:
                candidate, current = trial, gain.after
                equalised = candidate if step.preserving else equalised
            gains.append(gain)
            bar.update()
    return Refinement(equalised, candidate, start, tuple(gains))


def _preserved(measure: Measure, model: onnx.ModelProto) -> bool:
    embeddings = measure.embed(model)
    furthest = np.abs(embeddings - measure.reference).max()
    return bool(furthest <= TOLERANCE * np.abs(measure.reference).max())


def _key(original: Candidate, images: Images) -> str:
    """Return a hash of all that steps depend on, besides themselves."""
    import onnxruntime  # a second, which help texts do without

    versions = f"recipe {RECIPE} {onnx.__version__} {onnxruntime.__version__} {np.__version__}"
    digest = hashlib.sha256(versions.encode())
    digest.update(original.model.SerializeToString(deterministic=True))
    digest.update(repr(sorted(original.amax.items())).encode())
    for array in (images.fitting, images.held_out):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Files:
    """The files of a step: a network, and a record of its thresholds and of what it gained."""

    folder: Path
    step: str
    key: str

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.step.replace(' ', '-')}.json"

    @property
    def _network(self) -> Path:
        return self._record.with_suffix(".onnx")

    def read(self) -> tuple[Candidate, Gain] | None:
        """Return what was written under the same key; None where there is no such record."""
        try:
            record = read_record(self._record)
            if record is None or record["key"] != self.key:
                return None
            network = self._network.read_bytes() if self._network.is_file() else b""
            if hashlib.sha256(network).hexdigest() != record["network"]:
                raise DamagedError(f"is damaged ({self._network.name} is not what was written)")
        except DamagedError as error:
            say_remade(self._record, error)
            return None
        gain = record["gain"]
        return (
            Candidate(onnx.load_from_string(network), record["amax"]),
            Gain(
                gain["step"], Fidelity(**gain["before"]), Fidelity(**gain["after"]), gain["undone"]
            ),
        )

    def write(self, candidate: Candidate, gain: Gain) -> None:
        """Write the network first: a record is of a network that is there."""
        network = candidate.model.SerializeToString(deterministic=True)
        write_atomically(self._network, network)
        record = {
            "key": self.key,
            "network": hashlib.sha256(network).hexdigest(),
            "amax": dict(candidate.amax),
            "gain": asdict(gain),
        }
        write_record(self._record, record)
