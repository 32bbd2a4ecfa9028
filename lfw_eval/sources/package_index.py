"""Fetch distributions from pip's configured package indexes, without running them."""

from __future__ import annotations

import contextlib
import html.parser
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from lfw_eval.sources.checksum import measure, verify
from lfw_eval.sources.download import download
from lfw_eval.sources.manifest import Package
from lfw_eval.sources.pip_settings import PipSettings, pip_settings
from lfw_eval.sources.transport import SourceFailedError, Transport, redact

if TYPE_CHECKING:
    import requests

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


@dataclass(frozen=True)
class Link:
    """A file that an index offers, with its SHA-256 if the index states it."""

    url: str
    filename: str
    sha256: str | None = None


def fetch_distribution(package: Package, folder: Path) -> Path:
    """Return the package's distribution: from `folder`, a local index, or downloaded to `folder`.

    A local index's file stays where it is. The returned file has the right checksum.

    Raises:
        SourceFailedError: No index has it; the message lists the attempts.
        UserError: `folder` has another file of that name, or is not writable.
    """
    final = folder / package.distribution
    if final.exists():
        verify(final, package.size, package.sha256)
        return final
    settings = pip_settings()
    failures = []
    for location in _locations(package, settings):
        try:
            return _fetch_from(location, package, final, settings.transport)
        except SourceFailedError as error:
            failures.append(f"{redact(location)} ({error})")
        except OSError as error:
            failures.append(f"{redact(location)} ({error.strerror})")
    raise SourceFailedError(
        "; ".join(failures) or "pip has no index and no find-links: set PIP_INDEX_URL"
    )


def _locations(package: Package, settings: PipSettings) -> Iterator[str]:
    # The project's page has the normalised name of PEP 503.
    project = re.sub(r"[-_.]+", "-", package.project).lower()
    yield from settings.find_links
    for index in settings.indexes:
        yield f"{index.rstrip('/')}/{project}/"


def _fetch_from(location: str, package: Package, final: Path, transport: Transport) -> Path:
    links = [link for link in _links(location, transport) if link.filename == package.distribution]
    if not links:
        raise SourceFailedError(f"it does not have {package.distribution}")
    link = links[0]
    if link.sha256 is not None and link.sha256 != package.sha256:
        raise SourceFailedError(
            f"its {link.filename} is another file: its sha256 is {link.sha256}, not "
            f"{package.sha256}"
        )
    local = _local_path(link.url)
    if local is None:
        download(link.url, final, transport, package.size, package.sha256)
        return final
    if not local.is_file():
        raise SourceFailedError(f"its link to {link.filename} leads nowhere")
    if difference := measure(local).difference(package.size, package.sha256):
        raise SourceFailedError(f"{local} is the wrong file: {difference}")
    return local


def _links(location: str, transport: Transport) -> list[Link]:
    """Return the files that a page, an HTML file or a folder offers."""
    local = _local_path(location)
    if local is None:
        with transport.get(location, {"Accept": _ACCEPT}) as response:
            return _read_page(response)
    page = local / "index.html" if local.is_dir() else local
    files = local.iterdir() if local.is_dir() else ()
    links = [Link(file.absolute().as_uri(), file.name) for file in files]
    if page.is_file():
        links += _read_html(page.read_text(errors="replace"), page.absolute().as_uri())
    elif not local.is_dir():
        raise SourceFailedError("it does not exist")
    return links


def _local_path(location: str) -> Path | None:
    try:
        parts = urlsplit(location)
    except ValueError as error:
        raise SourceFailedError("not a usable address") from error
    if parts.scheme in ("http", "https"):
        return None
    from urllib.request import url2pathname  # loads TLS, which runs that fetch nothing do without

    return Path(url2pathname(parts.path) if parts.scheme == "file" else location).expanduser()


def _read_page(response: requests.Response) -> list[Link]:
    """Read a page of the simple repository API: PEP 503 (HTML) or PEP 691 (JSON)."""
    import requests

    try:
        body = response.content
    except requests.RequestException as error:
        raise SourceFailedError("its page broke off") from error
    if "json" not in response.headers.get("Content-Type", ""):
        return _read_html(body.decode(errors="replace"), response.url)
    try:
        return [
            Link(urljoin(response.url, file["url"]), file["filename"], file["hashes"].get("sha256"))
            for file in json.loads(body)["files"]
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceFailedError("its page is not of the simple repository API") from error


def _read_html(text: str, url: str) -> list[Link]:
    page = _Page(url)
    page.feed(text)
    return page.links


class _Page(html.parser.HTMLParser):
    """Collects the links of a page; `sha256` is the fragment of that name."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.base = url
        self.links: list[Link] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if tag not in ("base", "a") or not target:
            return
        with contextlib.suppress(ValueError):  # a malformed URL
            url, fragment = urldefrag(urljoin(self.base, target))
            if tag == "base":
                self.base = url
                return
            filename = unquote(urlsplit(url).path).rpartition("/")[2]
            sha256 = re.fullmatch("sha256=([0-9a-f]{64})", fragment)
            self.links.append(Link(url, filename, sha256 and sha256[1]))
