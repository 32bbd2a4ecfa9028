"""The two files of an MXNet checkpoint: `NAME-symbol.json` and `NAME-0000.params`."""

import re
from pathlib import Path
from typing import NamedTuple

from lfw_eval.system.errors import UserError, unreadable

_SYMBOL = "-symbol.json"
_PARAMS = re.compile(r"-(\d{4,})\.params")


class MxnetFiles(NamedTuple):
    """A network's nodes, its parameters after some epoch, and how many other epochs there are."""

    symbol: Path
    params: Path
    other_epochs: int = 0


def mxnet_files(path: Path) -> MxnetFiles:
    """Return both files of a checkpoint, of which `path` is one.

    Of several epochs these are the one that `path` names, or else the last.

    Raises:
        UserError: The other one is not beside it.
    """
    if path.name.endswith(_SYMBOL):
        name = path.name.removesuffix(_SYMBOL)
        epochs = _epochs(path, name)
        if not epochs:
            raise UserError(
                f"{path} has no parameters beside it",
                f"copy {name}-0000.params into its folder",
            )
        return MxnetFiles(path, epochs[max(epochs)], len(epochs) - 1)
    match = _PARAMS.search(path.name)
    symbol = path.with_name(f"{path.name[: match.start()]}{_SYMBOL}") if match else None
    if symbol is None or not symbol.is_file():
        raise UserError(
            f"{path} has no {symbol.name if symbol else 'symbol'} beside it",
            "an MXNet checkpoint is NAME-symbol.json and NAME-0000.params in one folder",
        )
    return MxnetFiles(symbol, path)


def _epochs(symbol: Path, name: str) -> dict[int, Path]:
    try:
        files = sorted(symbol.parent.iterdir())
    except OSError as error:
        raise unreadable(symbol.parent, error) from error
    matches = ((_PARAMS.fullmatch(file.name.removeprefix(name)), file) for file in files)
    return {int(m[1]): file for m, file in matches if m and file.name.startswith(name)}
