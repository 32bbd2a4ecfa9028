"""Sensitivity: what quantising a single layer does to embeddings, and which layers to skip."""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.embedding import embed
from calibration.errors import UserError
from calibration.quantize import RECIPE, QdqTypes, quantize, quantized_layers
from calibration.records import DamagedError, read_record, say_remade, write_record
from calibration.scales import ScaleTable

# Stands for all layers together; a layer's name is never empty.
_NETWORK = ""


@dataclass(frozen=True)
class EmbeddingError:
    """How far embeddings are from those of FP32.

    Attributes:
        cosine: Mean over images of the cosine between the two.
        sqnr: 10 log10(sum |e|^2 / sum |e - e_q|^2) over the raw embeddings of all images, in dB;
            infinite if they are equal.
    """

    cosine: float
    sqnr: float

    @property
    def drop(self) -> float:
        """Return 1 - cosine: zero for equal embeddings."""
        return 1 - self.cosine


@dataclass(frozen=True)
class Sensitivity:
    """The cost of INT8, by layer.

    Attributes:
        network: The error with all layers quantised.
        layers: The error by layer, with only that layer quantised; worst first.
        images: The number of images embedded.
    """

    network: EmbeddingError
    layers: dict[str, EmbeddingError]
    images: int

    def by_cost(self, costs: Mapping[str, float]) -> list[str]:
        """Return the layers by what 16 bits gain for what they cost, the most first.

        Errors of single layers nearly add up to that of the network, so a layer gains its own.

        Args:
            costs: By layer, in any unit; those that cost nothing come first.
        """

        def rank(name: str) -> tuple[float, float]:
            gain, cost = self.layers[name].drop, costs[name]
            return (-gain / cost if cost > 0 else -math.inf, -gain)

        return sorted(self.layers, key=rank)


@dataclass(frozen=True, eq=False)
class Mixed:
    """A network with some layers left out of INT8.

    Attributes:
        network: The network that was measured.
        skipped: The layers left out, in the order of the ranking.
        error: The network's error.
    """

    network: onnx.ModelProto
    skipped: tuple[str, ...]
    error: EmbeddingError


def embedding_error(
    reference: NDArray[np.float32], embeddings: NDArray[np.float32]
) -> EmbeddingError:
    """Compare embeddings, row by row.

    Args:
        reference: float32 (n, dimensions), of FP32.
        embeddings: float32 (n, dimensions).

    Raises:
        UserError: An embedding is zero, or not finite.
    """
    e, q = reference.astype(np.float64), embeddings.astype(np.float64)
    lengths = np.linalg.norm(e, axis=1) * np.linalg.norm(q, axis=1)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise UserError(
            "an embedding is zero, NaN or infinite, and has no cosine",
            "check the model in FP32, the scale table and the crops",
        )
    noise = float(np.square(e - q).sum())
    sqnr = 10 * math.log10(float(np.square(e).sum()) / noise) if noise else math.inf
    # Rounding may take the cosine of equal vectors beyond 1.
    return EmbeddingError(min(float(np.mean((e * q).sum(axis=1) / lengths)), 1.0), sqnr)


class Probe:
    """Embeds the same images with networks derived from one model, and compares them with FP32.

    Args:
        model: FP32 model, batch normalisation folded; its first output is the embedding.
        table: Thresholds.
        images: float32 (n, ...), for the model's input. All pass through in one batch.
        original: The FP32 model that is compared with, which `model` was refined from; None for
            `model` itself.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        table: ScaleTable,
        images: NDArray[np.float32],
        original: onnx.ModelProto | None = None,
    ) -> None:
        import onnxruntime  # a second, which help texts do without

        self._model = model
        self._table = table
        self._images = images
        self._reference = embed(original or model, images)
        self._layers = quantized_layers(model)
        # What the measurements depend on, besides the code; the table identifies the model.
        versions = f"recipe {RECIPE} {onnx.__version__} {onnxruntime.__version__}"
        digest = hashlib.sha256(f"{table.digest()} {versions}".encode())
        digest.update(images.tobytes())
        if original:
            digest.update(original.SerializeToString(deterministic=True))
        self._key = digest.hexdigest()

    def sensitivity(self, record: Path) -> Sensitivity:
        """Measure the whole network and every layer alone, or read earlier measurements.

        Besides a layer's weights and input, `quantize` quantises what serves it: the other input of
        the sum that a convolution fuses.

        After Ctrl-C, a rerun resumes with the missing layers.

        Args:
            record: The JSON file for the result.
        """
        part = record.with_suffix(f".part{record.suffix}")
        errors = self._read(record) or self._read(part)
        names = [_NETWORK, *self._layers]
        missing = [name for name in names if name not in errors]
        done = len(names) - len(missing)
        bar = tqdm(total=len(names), initial=done, desc="sensitivity", unit="layer", disable=None)
        with bar:
            for name in missing:
                network = self.quantized() if name == _NETWORK else self._alone(name)
                errors[name] = self.error(network)
                # Takes less than a hundredth of the time of a layer.
                self._write(part, errors)
                bar.update()
        worst = sorted(self._layers, key=lambda name: (errors[name].cosine, errors[name].sqnr))
        ranked = {name: errors[name] for name in [_NETWORK, *worst]}
        if missing:
            self._write(record, ranked)
        part.unlink(missing_ok=True)
        network_error = ranked.pop(_NETWORK)
        return Sensitivity(network_error, ranked, len(self._images))

    def mixed_network(
        self,
        ranking: Sequence[str],
        max_drop: float,
        finish: Callable[[onnx.ModelProto], onnx.ModelProto],
    ) -> Mixed:
        """Leave as few layers out of INT8 as a mean cosine of at least 1 - `max_drop` takes.

        It leaves out the first k of the ranking, and bisects k: measured, k layers reach the cosine
        and k - 1 miss it. Another choice of fewer layers may reach it too.

        Args:
            ranking: Layers in the order in which they are left out, such as worst first.
            max_drop: The largest 1 - cosine allowed, between 0 and 1.
            finish: Turns a Q/DQ network into the one that is measured and returned.

        Raises:
            UserError: `max_drop` is out of range, or missed even with all layers left out.
        """
        check_drop(max_drop)
        # Leaving out `missed` layers is not enough, `reached` layers is.
        missed, reached, best = -1, len(ranking) + 1, None
        with tqdm(desc="mixed network", unit="network", disable=None) as bar:
            trial = 0
            while reached - missed > 1:
                network = finish(self.quantized(ranking[:trial]))
                error = self.error(network)
                bar.update()
                if error.drop <= max_drop:
                    reached, best = trial, Mixed(network, tuple(ranking[:trial]), error)
                else:
                    missed = trial
                trial = (missed + reached) // 2
        if best is None:
            raise UserError(
                f"a drop of {max_drop:g} is not reached even with all {len(ranking)} layers left "
                f"out of INT8: 16 bits alone cost {error.drop:.2g}",
                "allow a larger drop",
            )
        return best

    def quantized(self, skip: Collection[str] = ()) -> onnx.ModelProto:
        """Return the Q/DQ network without some layers, with TensorRT's 8-bit type."""
        return quantize(self._model, self._table, QdqTypes(unsigned=False), skip)

    def error(self, network: onnx.ModelProto) -> EmbeddingError:
        """Return how far a network's embeddings are from the model's."""
        return embedding_error(self._reference, embed(network, self._images))

    def _alone(self, layer: str) -> onnx.ModelProto:
        """Return the network with one layer in INT8: its weights, input, and what serves it."""
        return self.quantized([name for name in self._layers if name != layer])

    def _read(self, path: Path) -> dict[str, EmbeddingError]:
        try:
            content = read_record(path)
            if content is None or content["key"] != self._key:
                return {}
            rows = {_NETWORK: content["network"], **content["layers"]}
            return {
                name: EmbeddingError(
                    row["cosine"], math.inf if row["sqnr"] is None else row["sqnr"]
                )
                for name, row in rows.items()
            }
        except DamagedError as error:
            say_remade(path, error)
            return {}

    def _write(self, path: Path, errors: Mapping[str, EmbeddingError]) -> None:
        rows = {
            # JSON has no infinity.
            name: {"cosine": e.cosine, "sqnr": e.sqnr if math.isfinite(e.sqnr) else None}
            for name, e in errors.items()
        }
        network = rows.pop(_NETWORK)
        content = {
            "key": self._key,
            "images": len(self._images),
            "network": network,
            "layers": rows,
        }
        write_record(path, content)


def check_drop(max_drop: float) -> None:
    """Refuse an impossible drop.

    Raises:
        UserError: It is not between 0 and 1.
    """
    if not 0 < max_drop < 1:
        raise UserError(
            f"{max_drop:g} is not a possible drop of the mean cosine",
            "give one between 0 and 1, such as 0.0005",
        )
