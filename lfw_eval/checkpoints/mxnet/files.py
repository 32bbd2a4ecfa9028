"""The two files of an MXNet checkpoint: `NAME-symbol.json` and `NAME-0000.params`."""

import re
from dataclasses import dataclass
from pathlib import Path

from lfw_eval.checkpoints.mxnet.params import START
from lfw_eval.system.errors import UserError, unreadable

_SYMBOL = "-symbol.json"
_PARAMS = re.compile(r"-(\d{4,})\.params")


@dataclass(frozen=True)
class MxnetFiles:
    """A network's nodes, and its parameters after some epoch."""

    symbol: Path
    params: Path
    other_epochs: int

    @property
    def note(self) -> str | None:
        """What the user should know of the choice of an epoch."""
        if not self.other_epochs:
            return None
        return (
            f"{self.params.name} is the last of {self.other_epochs + 1} epochs beside "
            f"{self.symbol.name}; name another .params file to take that one"
        )


def is_mxnet(path: Path, start: bytes) -> bool:
    """Return whether a file is one of the two.

    Args:
        start: Its first 8 bytes or more.
    """
    return start.startswith(START) or start.lstrip()[:1] == b"{"


def mxnet_files(path: Path) -> MxnetFiles:
    """Return both files of a checkpoint, of which `path` is one.

    Of several epochs it takes the one that `path` names, or else the last.

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
    return MxnetFiles(symbol, path, 0)


def _epochs(symbol: Path, name: str) -> dict[int, Path]:
    try:
        files = sorted(symbol.parent.iterdir())
    except OSError as error:
        raise unreadable(symbol.parent, error) from error
    matches = ((_PARAMS.fullmatch(file.name.removeprefix(name)), file) for file in files)
    return {int(m[1]): file for m, file in matches if m and file.name.startswith(name)}
