"""Outputs that would replace an input of the same verb."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lfw_eval.system.errors import UserError

_OUTPUTS = ("output", "output_argument", "junit", "json", "sheet", "summary")
# What may have weights in files of its own.
_NETWORKS = ("checkpoint", "candidate", "model", "detector", "with_facedetect")


def require_inputs_kept(values: Mapping[str, Any]) -> None:
    """Refuse to write over what is read.

    Args:
        values: Those of all parameters of a verb, by name.

    Raises:
        UserError: An output is an input, or one of the files of a network.
    """
    outputs = {name: Path(values[name]) for name in _OUTPUTS if values.get(name)}
    for name, output in outputs.items():
        # Nothing else is looked at where nothing can be lost.
        if output.is_file():
            others = ((key, value) for key, value in values.items() if key not in _OUTPUTS)
            _require_others(name.removesuffix("_argument"), output, others)


def require_other(name: str, output: Path, source: str, path: Path) -> None:
    """Refuse an output that is an input.

    Args:
        name: The output's parameter.
        source: What the input is, for the message.
        path: Of the input.

    Raises:
        UserError: It is.
    """
    if output.is_file() and path.is_file() and output.samefile(path):
        raise UserError(f"`{name}` {output} would overwrite {source}", "name another file")


def _require_others(name: str, output: Path, inputs: Iterable[tuple[str, Any]]) -> None:
    for source, value in inputs:
        for item in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(item, str | Path):
                continue
            path = Path(item)
            require_other(name, output, f"`{source}`", path)
            if source in _NETWORKS:
                for file in _files(path):
                    require_other(name, output, f"a file of `{source}` {path}", file)


def _files(path: Path) -> Iterator[Path]:
    """Yield the files of a network; none where it is none, which its reader explains."""
    from lfw_eval.checkpoints.formats import format_of  # most verbs write no file that exists

    with suppress(UserError, OSError):
        if form := format_of(path):
            yield from form.files(path).values()
