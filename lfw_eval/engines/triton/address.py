"""Where a model is served: triton://host:port/model/version."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from lfw_eval.system.errors import UserError

PORTS = {"grpc": 8001, "http": 8000}
"""Triton's own, by protocol."""

_SCHEMES = {"triton": "grpc", "triton+grpc": "grpc", "triton+http": "http"}
_FORM = "triton://host:port/model, or with a version triton://host:port/model/3"


@dataclass(frozen=True)
class Address:
    """The address of a model on a server.

    Attributes:
        protocol: A key of `PORTS`.
        place: host:port.
        version: None for the newest that is ready.
    """

    protocol: str
    place: str
    model: str
    version: int | None = None

    @classmethod
    def parse(cls, engine: str) -> "Address":
        """Parse an `engine`; the default port is Triton's own.

        Raises:
            UserError: It is not such an address.
        """
        scheme = engine.partition("://")[0]
        if scheme != engine and scheme not in _SCHEMES:
            raise UserError(
                f"`engine` {engine}: {scheme}:// is unknown",
                "take triton:// (gRPC) or triton+http://",
            )
        try:
            parts = urlsplit(engine)
            port = parts.port
        except ValueError as error:
            raise UserError(f"`engine` {engine}: {error}", f"give {_FORM}") from error
        path = re.fullmatch(r"/([^/]+)(?:/([1-9]\d{0,17}))?/?", parts.path)
        if not (parts.hostname and path) or parts.username or parts.query or parts.fragment:
            raise UserError(f"`engine` {engine} does not name a model on a server", f"give {_FORM}")
        protocol = _SCHEMES[scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        version = int(path[2]) if path[2] else None
        return cls(protocol, f"{host}:{port or PORTS[protocol]}", path[1], version)

    @property
    def usual_port(self) -> int:
        """Triton's own for the protocol."""
        return PORTS[self.protocol]

    def __str__(self) -> str:
        version = f"/{self.version}" if self.version else ""
        scheme = "triton" if self.protocol == "grpc" else "triton+http"
        return f"{scheme}://{self.place}/{self.model}{version}"
