"""The text of a list that the user has: UTF-8, or UTF-16 with a byte order mark."""

import codecs
import re
from collections.abc import Iterator, Sequence

from lfw_eval.datasets.pair_files import PairFile
from lfw_eval.system.errors import UserError, unreadable

_MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF16_LE: "UTF-16-LE",
    codecs.BOM_UTF16_BE: "UTF-16-BE",
}
_LINE_END = re.compile(r"\r\n|\n|\r")
_COMMENTS = re.compile(r"(?:\s*#[^\r\n]*)+")


def read_list(path: PairFile) -> str:
    """Read a list's text, without its byte order mark.

    Raises:
        UserError: It cannot be read, or is not text in one of these encodings; the message names
            the one that it is likely in.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(f"the list {path}", error) from error
    mark = next(filter(content.startswith, _MARKS), b"")
    encoding = _MARKS.get(mark, "UTF-8")
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "UTF-8":
            raise UserError(
                f"{path} begins as {encoding[:6]} does, but is not", "save it as UTF-8"
            ) from error
        raise _not_utf8(path, content, len(mark) + error.start) from error
    if "\0" in text:
        raise _binary(path, content)
    return text


def without_comments(text: str) -> str:
    """Return a text with empty lines in place of those at its top that begin with `#`."""
    comments = _COMMENTS.match(text)
    end = comments.end() if comments else 0
    return "".join(_LINE_END.findall(text[:end])) + text[end:]


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number, from 1, and content of every line that is not empty."""
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line.strip():
            yield number, line.strip()


def shown(line: str | Sequence[str]) -> str:
    """Return a line, or its fields, as a message quotes it."""
    text = line if isinstance(line, str) else ",".join(line)
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def _not_utf8(path: PairFile, content: bytes, at: int) -> UserError:
    if b"\0" in content:
        return _binary(path, content)
    start = max(content.rfind(b"\n", 0, at), content.rfind(b"\r", 0, at)) + 1
    number = len(_LINE_END.findall(content[:start].decode("latin-1"))) + 1
    line = _LINE_END.split(content[start:].decode("latin-1"), maxsplit=1)[0]
    return UserError(
        f"{path}, line {number}: {shown(line)} is not UTF-8 text but likely Latin-1",
        "save the list as UTF-8",
    )


def _binary(path: PairFile, content: bytes) -> UserError:
    """Return the error for a file with zero bytes, which UTF-16 has at every other place."""
    half = len(content) // 2
    if max(content[::2].count(0), content[1::2].count(0)) > half / 2:
        return UserError(f"{path} is UTF-16 without a byte order mark", "save it as UTF-8")
    return UserError(f"{path} is not a text file", "give a list of pairs")
