"""HTTP for fetching: quick to fail, and silent about credentials."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 30


class SourceFailedError(Exception):
    """A source of a file failed, for the reason in the message; another may do."""


def redact(url: str) -> str:
    """Return a URL without its possible secrets: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a malformed URL"
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@dataclass(frozen=True)
class Transport:
    """The settings of requests; the fields are pip's options of the same names.

    `logins` are URLs whose user and password are also used for other URLs of their host.
    """

    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    logins: tuple[str, ...] = field(default=(), repr=False)

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Request a URL; the body is not read yet.

        Raises:
            SourceFailedError: No response, or one whose status is neither success nor 416 (range
                not satisfiable), which the caller handles when resuming.
        """
        import requests  # a tenth of a second, which runs that fetch nothing do without

        try:
            parts = urlsplit(url)
            response = requests.get(
                parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
                headers=dict(headers),
                auth=self._login(url),
                verify=self._verify(parts),
                cert=self.client_cert,
                proxies={"http": self.proxy, "https": self.proxy} if self.proxy else None,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                stream=True,
            )
        except (OSError, ValueError) as error:
            raise SourceFailedError(_reason(error)) from error
        if response.status_code not in (200, 206, 416):
            response.close()
            raise SourceFailedError(f"HTTP {response.status_code} {response.reason}".rstrip())
        return response

    def _login(self, url: str) -> tuple[str, str] | None:
        for login in (url, *self.logins):
            with contextlib.suppress(ValueError):  # a malformed URL is reported where it is used
                parts = urlsplit(login)
                if parts.username is not None and _origin(parts) == _origin(urlsplit(url)):
                    return unquote(parts.username), unquote(parts.password or "")
        return None

    def _verify(self, parts: SplitResult) -> bool | str | None:
        # None, not True, without pip's option: requests then respects REQUESTS_CA_BUNDLE.
        host, port = parts.hostname, parts.port
        return False if {host, f"{host}:{port}"} & set(self.trusted_hosts) else self.cert


def _reason(error: Exception) -> str:
    import requests

    # requests' own messages may quote URLs that contain a token, so none is repeated here.
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted: set PIP_CERT or REQUESTS_CA_BUNDLE"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no answer within {CONNECT_TIMEOUT} s"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"nothing received for {READ_TIMEOUT} s"
    if isinstance(error, requests.exceptions.ConnectionError):
        unresolved = "resol" in str(error)
        return "its name does not resolve" if unresolved else "no connection"
    if isinstance(error, requests.exceptions.RequestException | ValueError):
        return f"not a usable address ({type(error).__name__})"
    return "a certificate file of pip's options cannot be read"
