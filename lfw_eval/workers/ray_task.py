"""What a Ray worker does, and how a user's mistake comes back from it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Row, Work

_FAILURE = "failure"
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Place:
    """Where the command was run: its folder, which paths are relative to, and its settings."""

    folder: str
    settings: dict[str, str]

    @classmethod
    def here(cls) -> "Place":
        """Return this process's."""
        own = {name: value for name, value in os.environ.items() if name.startswith("LFW_EVAL_")}
        return cls(str(Path.cwd()), own)

    def enter(self) -> None:
        """Move this process there.

        Raises:
            UserError: Its node has no such folder.
        """
        os.environ.update(self.settings)
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UserError(
                f"{self.folder} does not exist on all nodes of the cluster",
                "start from a folder that they share",
            ) from error


@dataclass(frozen=True)
class Failure:
    """A user's mistake as a worker's result: Ray would wrap the error beyond recognition."""

    problem: str
    hint: str

    def row(self) -> Row:
        """Return it as a row."""
        return {_FAILURE: [self.problem, self.hint]}


def reporting(function: Callable[..., _Result], place: Place) -> Callable[..., _Result | Failure]:
    """Return the function, called at a place, with a user's mistake as its result."""

    @wraps(function)
    def reported(*arguments: Any) -> _Result | Failure:
        try:
            place.enter()
            return function(*arguments)
        except UserError as error:
            return Failure(error.problem, error.hint)

    return reported


def result(value: _Result | Failure) -> _Result:
    """Return what a function returned.

    Raises:
        UserError: The function raised it.
    """
    if isinstance(value, Failure):
        raise UserError(value.problem, value.hint)
    return value


def checked(row: Row) -> Row:
    """Return a row, unless it is a failure's.

    Raises:
        UserError: It is a failure's.
    """
    if _FAILURE in row:
        raise UserError(*map(str, row[_FAILURE]))
    return row


class Preparation:
    """Prepares an item before a worker gets it."""

    def __init__(self, prepare: Callable[[Row], Row], place: Place) -> None:
        self._prepare = reporting(prepare, place)

    def __call__(self, item: Row) -> Row:
        """Return the item prepared, or the row of a failure."""
        row = self._prepare(item)
        return row.row() if isinstance(row, Failure) else row


class Actor:
    """A worker that stays alive between items and turns each into rows."""

    def __init__(
        self, worker: Callable[..., Work], arguments: tuple[object, ...], place: Place
    ) -> None:
        self._place = place
        self._work = reporting(worker, place)(*arguments)

    def __call__(self, item: Row) -> list[Row]:
        """Return the rows of an item, or the single row of a failure."""
        if _FAILURE in item:
            return [item]
        rows = reporting(self._rows, self._place)(item)
        return [rows.row()] if isinstance(rows, Failure) else rows

    def _rows(self, item: Row) -> list[Row]:
        return list(result(self._work)(item))
