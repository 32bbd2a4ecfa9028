"""TensorRT calibration caches, one INT8 scale per tensor: read, compare and write them."""

import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.errors import UserError, require_type
from calibration.scales import ScaleTable

_HEADER = re.compile(r"TRT-(?P<digits>[0-9]{4,6})-(?P<algorithm>\S+)(?P<ending>[ \t\r]*\n?)")
# A name may hold ": " itself: the scale is what follows the last one.
_ENTRY = re.compile(r"(?P<name>.+): (?P<digits>[0-9A-Fa-f]{1,8})(?P<ending>[ \t\r]*\n?)")
_INFINITY = 0x7F80_0000
# 200 thousand tensors; the largest networks have a tenth of that.
_MAX_SIZE = 16 << 20


@dataclass(frozen=True)
class Entry:
    """A line of a cache.

    Attributes:
        name: The tensor's name.
        digits: 1 to 8 hexadecimal digits, as written.
        ending: What follows them up to the next line, as written.
    """

    name: str
    digits: str
    ending: str = "\n"

    @property
    def scale(self) -> float:
        """Return the int8 step, amax / 127, in the tensor's unit."""
        scale: float = struct.unpack(">f", bytes.fromhex(self.digits.zfill(8)))[0]
        return scale

    @property
    def internal(self) -> bool:
        """Return whether TensorRT made the tensor itself, under a name that no ONNX file has."""
        return self.name.startswith("(Unnamed Layer*")


@dataclass(frozen=True)
class CalibrationCache:
    """A calibration cache whose `text` is byte for byte what was read.

    Attributes:
        digits: TensorRT's version in the header, see `header_digits`.
        algorithm: The calibrator's, such as EntropyCalibration2; unknown ones are preserved.
        ending: What follows the header up to the next line.
        entries: The lines, in the file's order.
    """

    digits: str
    algorithm: str
    ending: str
    entries: tuple[Entry, ...]

    @classmethod
    def load(cls, path: Path) -> "CalibrationCache":
        """Read a cache.

        Raises:
            UserError: The file cannot be read, or is not a cache.
        """
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_SIZE + 1)
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror})", "check the path and its permissions"
            ) from error
        cache = cls.parse(content, str(path))
        if not cache.entries:
            raise UserError(
                f"{path} has a header but no tensors", "give a complete calibration cache"
            )
        return cache

    @classmethod
    def parse(cls, content: bytes, source: str) -> "CalibrationCache":
        """Read a cache from its bytes.

        A tensor may be repeated with the same scale, but not with another: which of the two
        TensorRT would use is undocumented.

        Args:
            content: A file's content. Lines end in LF or CRLF, the last one in either or nothing.
            source: The file's name, for errors.

        Raises:
            UserError: It is not a cache, or a scale is negative, infinite or NaN.
        """
        if not content:
            raise UserError(f"{source} is empty", "give a calibration cache")
        if len(content) > _MAX_SIZE:
            raise UserError(
                f"{source} is larger than {_MAX_SIZE >> 20} MiB, too large for a calibration cache",
                "give a cache that a TensorRT calibrator wrote",
            )
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise UserError(
                f"{source}, line {line} is not text", "give a calibration cache, not an engine"
            ) from error
        # str.splitlines would also split at characters that names may contain.
        first, *rest = text.removesuffix("\n").split("\n")
        ends = ["\n"] * len(rest) + ["\n" * text.endswith("\n")]
        header = _HEADER.fullmatch(first + ends[0])
        if header is None:
            raise UserError(
                f"{source}, line 1 is not a header such as TRT-8601-EntropyCalibration2",
                "give a cache that a TensorRT calibrator wrote",
            )
        entries = tuple(
            _read_entry(line + end, f"{source}, line {number}")
            for number, (line, end) in enumerate(zip(rest, ends[1:], strict=True), start=2)
        )
        _check_scales_agree(entries, source)
        return cls(header["digits"], header["algorithm"], header["ending"], entries)

    @property
    def header(self) -> str:
        """Return the first line, without its ending."""
        return f"TRT-{self.digits}-{self.algorithm}"

    @property
    def text(self) -> str:
        """Return the whole file."""
        lines = [f"{entry.name}: {entry.digits}{entry.ending}" for entry in self.entries]
        return "".join([self.header, self.ending, *lines])

    @property
    def version(self) -> str | None:
        """Return TensorRT's version as major.minor.patch; None if no release has such digits."""
        number = int(self.digits)
        if 10_000 <= number < 100_000:
            return None
        major, rest = divmod(number, 10_000 if number >= 100_000 else 1_000)
        return f"{major}.{rest // 100}.{rest % 100}"

    @property
    def scales(self) -> dict[str, float]:
        """Return the scale per tensor, amax / 127, in the file's order."""
        return {entry.name: entry.scale for entry in self.entries}

    @property
    def named(self) -> dict[str, float]:
        """Return the scale per tensor, without TensorRT's own tensors."""
        return {entry.name: entry.scale for entry in self.entries if not entry.internal}

    def for_version(self, version: str) -> "CalibrationCache":
        """Return the same scales under the header of another TensorRT version, such as "10.3.0".

        Raises:
            UserError: That version does not read calibration caches.
        """
        return replace(self, digits=str(header_digits(version)))

    def to_table(self) -> ScaleTable:
        """Return the scales as a table; fields that a cache does not have are empty."""
        amax = {name: scale * 127 for name, scale in self.scales.items()}
        return ScaleTable(
            amax=amax, method=self.algorithm, model="", images="", crops=0, first_batch=0
        )


@dataclass(frozen=True)
class Change:
    """A tensor's scale in two caches."""

    name: str
    old: float
    new: float

    @property
    def ratio(self) -> float:
        """Return new / old: 1 if both are zero, infinite if only the old one is."""
        if self.old:
            return self.new / self.old
        return float("inf") if self.new else 1.0

    @property
    def relative(self) -> float:
        """Return how far the ratio is from 1."""
        return abs(self.ratio - 1)


def changes(old: dict[str, float], new: dict[str, float]) -> list[Change]:
    """Return the tensors that both have, the largest change first."""
    common = [Change(name, scale, new[name]) for name, scale in old.items() if name in new]
    return sorted(common, key=lambda change: change.relative, reverse=True)


def header_digits(version: str) -> int:
    """Return the digits of a cache's header for a TensorRT version such as "8.6.1".

    They are major * 1000 + minor * 100 + patch up to TensorRT 9, with major * 10000 from 10 on.

    Raises:
        UserError: It is not a version of TensorRT 7 to 10, the ones that read such caches.
    """
    match = re.fullmatch(r"(\d+)\.(\d{1,2})\.(\d{1,2})(\.\d+)?", version)
    if match is None:
        raise UserError(
            f"{version!r} is not a TensorRT version", "give it as major.minor.patch, such as 8.6.1"
        )
    major, minor, patch = (int(match[group]) for group in (1, 2, 3))
    if not 7 <= major <= 10:
        raise UserError(
            f"TensorRT {version} does not read calibration caches, only 7 to 10 do",
            "use the Q/DQ network that `lfw-eval cache to-qdq` makes from a cache",
        )
    return major * (10_000 if major >= 10 else 1_000) + minor * 100 + patch


def cache_name(method: str, version: str) -> str:
    """Return the file name of the cache for a table's method and a TensorRT version.

    Raises:
        UserError: That version does not read calibration caches.
    """
    algorithm = "entropy2" if method == "entropy" else method
    return f"trt-{header_digits(version)}-{algorithm}.cache"


def calibration_cache(table: ScaleTable, version: str) -> str:
    """Return the text of the cache that a TensorRT calibrator of that version would read.

    A line is `name: hex`, the big-endian float32 of amax / 127. The calibrator is
    `IInt8MinMaxCalibrator` for a minmax table and `IInt8EntropyCalibrator2` for any other:
    TensorRT has no calibrator for the other methods, and this one takes any scale.

    Args:
        table: Of the network that the engine is built from.
        version: Of TensorRT 7 to 10, such as "8.6.1".

    Raises:
        UserError: That version does not read calibration caches, or an argument is of another type.

    Example:
        >>> from lfw_eval import ScaleTable, calibration_cache
        >>> table = ScaleTable({"input": 2.0}, "entropy", model="", images="", crops=512)
        >>> print(calibration_cache(table, "8.6.1"))
        TRT-8601-EntropyCalibration2
        input: 3c810204
        <BLANKLINE>
    """
    require_type("table", table, ScaleTable, "a ScaleTable, as `calibrate` returns it")
    require_type("version", version, str, 'a version of TensorRT, such as "8.6.1"')
    algorithm = "MinMaxCalibration" if table.method == "minmax" else "EntropyCalibration2"
    entries = tuple(Entry(name, _hexadecimal(amax / 127)) for name, amax in table.amax.items())
    return CalibrationCache(str(header_digits(version)), algorithm, "\n", entries).text


def _hexadecimal(scale: float) -> str:
    """Return the digits as TensorRT writes them: without leading zeros."""
    return f"{int.from_bytes(struct.pack('>f', scale), 'big'):x}"


def _read_entry(line: str, place: str) -> Entry:
    match = _ENTRY.fullmatch(line)
    if match is None:
        raise UserError(
            f"{place} is not 'name: scale' with a scale of 1 to 8 hexadecimal digits",
            "give a cache that a TensorRT calibrator wrote",
        )
    # The bits from infinity on are infinity, NaN and every negative number.
    if int(match["digits"], 16) >= _INFINITY:
        raise UserError(
            f"{place} has a scale that is negative, infinite or NaN ({match['digits']})",
            "calibrate again",
        )
    return Entry(match["name"], match["digits"], match["ending"])


def _check_scales_agree(entries: tuple[Entry, ...], source: str) -> None:
    lines: dict[str, tuple[int, float]] = {}
    for number, entry in enumerate(entries, start=2):
        first, scale = lines.setdefault(entry.name, (number, entry.scale))
        if scale != entry.scale:
            raise UserError(
                f"{source}, line {number} gives tensor {entry.name!r} a different scale from line "
                f"{first}",
                "remove one of the two lines",
            )
