"""Values to compare with later: exact ones as hashes, floats as numbers that bear rounding."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

# More floats than this are stood for by weighted sums.
_WHOLE = 48
_SUMS = 6


def golden(value: Any) -> Any:
    """Return what of a value is kept in JSON."""
    if isinstance(value, onnx.ModelProto):
        return {"structure": _sha256(structure(value).encode()), "weights": golden(_weights(value))}
    if isinstance(value, Mapping):
        return {name: golden(part) for name, part in value.items()}
    if isinstance(value, str):
        return _sha256(value.encode())
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return _sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    flat = array.astype(np.float64).ravel()
    if flat.size <= _WHOLE:
        return {"shape": list(array.shape), "values": _rounded(flat)}
    (norm,) = _rounded([np.linalg.norm(flat)])
    return {"shape": list(array.shape), "sums": _rounded(_sums(flat)), "norm": norm}


def moved(old: Any, new: Any, tolerance: float, where: str = "") -> list[str]:
    """Return the names of the values that differ by more than a share of their size."""
    if isinstance(old, dict) and isinstance(new, dict) and "shape" not in old:
        return [
            name
            for key in sorted(old.keys() | new.keys())
            for name in moved(old.get(key), new.get(key), tolerance, f"{where}/{key}".strip("/"))
        ]
    same = old == new
    if isinstance(old, dict) and isinstance(new, dict) and old.get("shape") == new.get("shape"):
        kind = "values" if "values" in old else "sums"
        pair = [np.asarray(golden[kind]) for golden in (old, new)]
        # A sum of n weighted values moves by as much as their norm does.
        scale = old.get("norm", np.abs(pair[0]).max(initial=0))
        same = bool((np.abs(pair[0] - pair[1]) <= tolerance * max(scale, 1e-30)).all())
    return [] if same else [where]


def structure(model: onnx.ModelProto) -> str:
    """Return all of a network but the values of its weights, as text that no release changes."""
    lines = [f"opset {sorted((o.domain, o.version) for o in model.opset_import)}"]
    for kind, infos in (("input", model.graph.input), ("output", model.graph.output)):
        lines += [
            f"{kind} {info.name} {info.type.tensor_type.elem_type} "
            f"{[d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]}"
            for info in infos
        ]
    for node in model.graph.node:
        attributes = {a.name: str(onnx.helper.get_attribute_value(a)) for a in node.attribute}
        lines.append(f"{node.op_type} {list(node.input)} {list(node.output)} {attributes}")
    lines += sorted(f"{t.name} {t.data_type} {list(t.dims)}" for t in model.graph.initializer)
    lines += sorted(f"{item.key}={item.value}" for item in model.metadata_props)
    return "\n".join(lines)


def _weights(model: onnx.ModelProto) -> np.ndarray:
    """Three numbers for each weight, the small ones counting as much as the large ones."""
    rows = []
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        flat = numpy_helper.to_array(tensor).astype(np.float64).ravel()
        norm = np.linalg.norm(flat) or 1.0
        rows.append([*(total / norm for total in _sums(flat)[:2]), np.log(norm)])
    return np.array(rows)


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.10g}") for value in values]


def _sums(flat: np.ndarray) -> list[float]:
    """Sums under weights that no permutation, shift or sign leaves the same."""
    place = np.arange(flat.size)
    return [float(flat @ (((place * (7 + 12 * k) + k) % 101) / 50 - 1)) for k in range(_SUMS)]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
