"""The releases in requirements/ are those that setup.cfg allows."""

import configparser
import re

import pytest
from command import REPOSITORY

FOLDER = REPOSITORY / "requirements"
_MINIMUM = re.compile(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)")


def minima(section: str, option: str) -> dict[str, str]:
    """The oldest release of each requirement that has one."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg")
    return dict(
        match.groups()
        for line in settings[section][option].splitlines()
        if (match := _MINIMUM.match(line))
    )


def pins(name: str) -> dict[str, str]:
    """The releases in a file of requirements."""
    lines = (FOLDER / name).read_text().splitlines()
    rows = [line.partition(";")[0].strip() for line in lines if not line.startswith("#")]
    return dict(row.split("==") for row in rows)


def numbers(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]


def test_the_minimum_is_that_of_setup() -> None:
    pinned = pins("minimum.txt")
    for name, oldest in minima("options", "install_requires").items():
        parts, wanted = numbers(pinned.pop(name)), numbers(oldest)
        assert parts[: len(wanted)] == wanted, name
        assert not any(parts[len(wanted) : 2]), f"{name}: not the oldest"
    assert pinned.keys() == {"pytest", "hypothesis"}


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("python*.txt")))
def test_every_requirement_has_a_tested_release(name: str) -> None:
    pinned = {key.lower(): value for key, value in pins(name).items()}
    required = minima("options", "install_requires") | minima("options.extras_require", "dev")
    if name != "python3.10.txt":
        del required["tomli"]
    for package, oldest in required.items():
        assert numbers(pinned[package]) >= numbers(oldest), package
