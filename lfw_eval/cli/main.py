"""The entry point of the command: how its errors are shown, and its exit codes.

Nothing but the standard library is imported before `main` runs, so that Ctrl-C is answered from the
first moment on.
"""

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from lfw_eval.cli.exit_codes import BROKEN_PIPE, BUG, INTERRUPTED, MISTAKE

_UNWRITABLE = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


def main() -> NoReturn:
    """Run the command and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code.

    A mistake ends in one sentence, a bug of ours in a traceback and a sentence.
    """
    try:
        _give_bars_room()
        from lfw_eval.cli.app import call

        code = call(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        # Python's import of a compiled module may turn Ctrl-C into an error of its own.
        return _interrupted() if _was_interrupted(error) else _code_of(error)
    return code


def _give_bars_room() -> None:
    """Have progress shown on a terminal of unknown size, as `script` and some containers have.

    It says that it has no row and no column, and tqdm believes it and shows blank lines.
    """
    if sys.stderr and sys.stderr.isatty() and 0 in os.get_terminal_size(sys.stderr.fileno()):
        os.environ.setdefault("TQDM_NCOLS", "80")
        os.environ.setdefault("TQDM_NROWS", "24")


def _code_of(error: Exception) -> int:
    """Print what an error says to the user, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        _discard_output()
        return BROKEN_PIPE
    if isinstance(error, ImportError) and error.name == "calibration":
        return _mistake(str(error))
    from lfw_eval.cli.errors import user_mistake

    if sentence := user_mistake(error):
        return _mistake(sentence)
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        if error.filename is None:
            _discard_output()
        return _mistake(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
    return _bug()


def _discard_output() -> None:
    """Discard what is left to print: Python would write it when it exits, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _mistake(sentence: str) -> int:
    print(f"lfw-eval: {sentence}", file=sys.stderr)
    return MISTAKE


def _interrupted() -> int:
    print("\nlfw-eval: interrupted; rerun the same command to resume", file=sys.stderr)
    return INTERRUPTED


def _bug() -> int:
    import traceback

    from lfw_eval import __version__

    traceback.print_exc()
    print(
        f"lfw-eval: this is a bug in lfw-eval {__version__}; please file an issue with the command "
        "and the traceback above",
        file=sys.stderr,
    )
    return BUG


def _was_interrupted(error: BaseException | None) -> bool:
    seen: list[BaseException] = []  # an error may be its own cause
    while error and error not in seen and not isinstance(error, KeyboardInterrupt):
        seen.append(error)
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)
