"""Write the measured figures of README.md from the files that they were measured into.

Usage: python benchmarks/render_readme.py [--check]

A block of the README, between `<!-- begin: NAME -->` and `<!-- end: NAME -->`, is the template
benchmarks/readme/NAME.md with its fields filled. A field is a place in a JSON file of
benchmarks/results and a format, as `str.format` has them: `{pooled_scoring[seconds][roc]:.2f}`. In
addition, `:.1 %` is a percentage, and a metric's lowest and highest value become "low to high", or
the only value where the digits shown are the same. `baseline` is the committed baseline of LFW, and
`{evaluate}` and `{gate}` are what these commands print of it.

`--check` writes nothing, names the blocks that differ, and then exits with 1.
"""

import argparse
import json
import re
import string
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lfw_eval.gate.judge import judge_against_reference
from lfw_eval.report.tables.accuracy import accuracy_table
from lfw_eval.report.tables.gate import gate_table
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.file import read_result
from lfw_eval.system.files import write_atomically

BENCHMARKS = Path(__file__).parent
README = BENCHMARKS.parent / "README.md"
BASELINE = BENCHMARKS / "baselines" / "lfw-openvino-int8.json"
BLOCK = re.compile(r"(<!-- begin: (\w+) -->\n)(.*?)(<!-- end: \2 -->\n)", re.DOTALL)
RESULTS: dict[str, "Places"] = {}
"""What was read, by name of the file."""


class Places(Mapping[str, Any]):
    """A JSON object whose keys may be numbers, which a field cannot tell from rows of a list."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def __getitem__(self, key: object) -> Any:
        value = self._content[str(key)]
        return Places(value) if isinstance(value, dict) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


class Filling(string.Formatter):
    """Fills a template's fields."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return a printed text, or the content of a file of results."""
        return TEXTS[str(key)]() if key in TEXTS else _results(str(key))

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the value at a place."""
        try:
            value, used = super().get_field(field_name, args, kwargs)
        except (LookupError, TypeError) as error:
            raise KeyError(f"{{{field_name}}} is not in benchmarks/results") from error
        return Places(value) if isinstance(value, dict) else value, used

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a value as the README prints it."""
        if isinstance(value, Mapping):
            ends = [self.format_field(value[name], format_spec) for name in ("low", "high")]
            return " to ".join(dict.fromkeys(ends))
        if format_spec.endswith(" %"):
            return f"{100 * value:{format_spec.removesuffix(' %')}f} %"
        return format(value, format_spec)


def _results(name: str) -> Places:
    if name not in RESULTS:
        path = BASELINE if name == "baseline" else BENCHMARKS / "results" / f"{name}.json"
        RESULTS[name] = Places(json.loads(path.read_text(encoding="utf-8")))
    return RESULTS[name]


def _baseline() -> AccuracyResult:
    result = read_result(BASELINE).result
    assert isinstance(result, AccuracyResult)
    return result


def _gate() -> str:
    return gate_table(judge_against_reference(_baseline())).partition("\n\nACC: ")[0]


TEXTS: Mapping[str, Callable[[], str]] = {
    "evaluate": cache(lambda: accuracy_table(_baseline())),
    "gate": cache(_gate),
}
"""What commands print, by the name of a field."""


def rendered(readme: str) -> str:
    """Return the README with all blocks filled.

    Raises:
        KeyError: A field's place is not in the results.
        OSError: A block has no template, or a field no file.
    """

    def block(match: re.Match[str]) -> str:
        template = BENCHMARKS / "readme" / f"{match[2]}.md"
        return match[1] + Filling().vformat(template.read_text(encoding="utf-8"), (), {}) + match[4]

    return BLOCK.sub(block, readme)


def main() -> None:
    """Render, or check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    before = README.read_text(encoding="utf-8")
    after = rendered(before)
    if not options.check:
        write_atomically(README, after.encode())
        return
    blocks = zip(BLOCK.finditer(before), BLOCK.finditer(after), strict=True)
    if differing := [old[2] for old, new in blocks if old[0] != new[0]]:
        sys.exit(
            f"README.md differs from benchmarks/results in {', '.join(differing)}; "
            "run: python benchmarks/render_readme.py"
        )


if __name__ == "__main__":
    main()
