"""Frozen dataclasses to plain JSON values and back; arrays separately, by their place."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

UNSTORED = types.MappingProxyType({"stored": False})
"""Metadata of a field that files leave out; it needs a default."""


def plain(value: Any) -> Any:
    """Return dataclasses and mappings as objects, without their arrays; NaN becomes null."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name))
            for field in _stored(value)
            if not isinstance(getattr(value, field.name), np.ndarray)
        }
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such numbers; AP of no face is one.
        return None
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def arrays_of(value: Any, place: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield every array in a dataclass with its place, such as "reference.distances"."""
    if isinstance(value, np.ndarray):
        yield place, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from arrays_of(item, _join(place, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from arrays_of(item, _join(place, str(index)))
    elif dataclasses.is_dataclass(value):
        for field in _stored(value):
            yield from arrays_of(getattr(value, field.name), _join(place, field.name))


def typed(kind: Any, value: Any, place: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the value of type `kind` that `plain` turned into `value`.

    Args:
        place: Of the value, for messages and to find its arrays by.
        arrays: By place; those that are missing are empty.

    Raises:
        ValueError: The value is not of the type; the message names its place.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if hasattr(origin, "__value__"):
        # NumPy 2.5 writes NDArray as a `type` statement where Python has it, from 3.12 on.
        return typed(origin.__value__[parts], value, place, arrays)
    if origin is np.ndarray:
        return arrays.get(place, np.empty(0, typing.get_args(parts[1])[0]))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ValueError(f"{place or 'result'} is {json.dumps(value)[:40]}")
        hints = typing.get_type_hints(kind)
        return kind(
            **{
                field.name: typed(
                    hints[field.name], value.get(field.name), _join(place, field.name), arrays
                )
                for field in _stored(kind)
            }
        )
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in parts if part is not type(None)]
        if value is None and len(inner) < len(parts):
            return None
        return typed(inner[0], value, place, arrays) if len(inner) == 1 else value
    if origin is tuple and isinstance(value, list):
        kinds = [parts[0]] * len(value) if parts[-1] is ... else parts
        items = zip(kinds, value, strict=True)
        return tuple(typed(k, v, _join(place, str(i)), arrays) for i, (k, v) in enumerate(items))
    if isinstance(value, dict) and origin is not None and issubclass(origin, Mapping):
        return {name: typed(parts[1], v, _join(place, name), arrays) for name, v in value.items()}
    if origin is typing.Literal:
        fits = value in parts
    elif kind is float:
        if value is None:
            return math.nan
        fits = isinstance(value, float | int) and not isinstance(value, bool)
        fits = fits and math.isfinite(value)
    else:
        # A tuple or a mapping that gets here is none.
        fits = origin is None and isinstance(value, kind)
    if not fits:
        raise ValueError(f"{place} is {json.dumps(value)[:40]}")
    return value


def _stored(value: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a dataclass, or of an instance, that a file has."""
    return [field for field in dataclasses.fields(value) if field.metadata.get("stored", True)]


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
