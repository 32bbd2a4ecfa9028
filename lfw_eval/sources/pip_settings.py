"""Read pip's configuration on this machine: its indexes and how it reaches them."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass

from lfw_eval.sources.transport import Transport


@dataclass(frozen=True)
class PipSettings:
    """The locations pip would search, in its order, as URLs or paths, and their transport."""

    find_links: tuple[str, ...]
    indexes: tuple[str, ...]
    transport: Transport


def pip_settings() -> PipSettings:
    """Ask pip for its configuration: files and `PIP_*` variables, as `pip install` reads them.

    Without pip (a virtual environment made by uv) only the variables are read, with uv's for the
    index.
    """
    options = _configured_options()
    indexes = [options.get("index-url") or _default_index(), *_split(options, "extra-index-url")]
    if options.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t"):
        indexes = []
    configured = tuple(index for index in indexes if index)
    find_links = _split(options, "find-links")
    return PipSettings(
        find_links=find_links,
        indexes=configured,
        transport=Transport(
            cert=options.get("cert"),
            client_cert=options.get("client-cert"),
            proxy=options.get("proxy"),
            trusted_hosts=_split(options, "trusted-host"),
            logins=(*configured, *find_links),
        ),
    )


def _split(options: dict[str, str], name: str) -> tuple[str, ...]:
    return tuple(options.get(name, "").split())


def _configured_options() -> dict[str, str]:
    """Read pip's options by their long names; later sections override earlier ones."""
    listing = _pip("config", "list")
    if listing is None:
        options = {
            name.removeprefix("PIP_").lower().replace("_", "-"): value
            for name, value in os.environ.items()
            if name.startswith("PIP_")
        }
        uv = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
        return {"index-url": uv, **options} if uv else options
    sections: dict[str, dict[str, str]] = {"global": {}, "download": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in sections:
            sections[section][option] = str(ast.literal_eval(value))
    return {name: value for section in sections.values() for name, value in section.items()}


def _default_index() -> str | None:
    """Return the default index, which only pip's own help text states."""
    text = _pip("--isolated", "download", "--help")
    match = re.search(r"--index-url.*?\(default\s+(\S+?)\)", text or "", re.DOTALL)
    return match and match[1]


def _pip(*arguments: str) -> str | None:
    """Return the output of a pip command, or None if pip is missing or broken."""
    process = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        cwd=sys.prefix,  # never a folder that may contain a pip.py
        env={**os.environ, "COLUMNS": "1000"},  # no line break inside a URL
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return process.stdout if process.returncode == 0 else None
