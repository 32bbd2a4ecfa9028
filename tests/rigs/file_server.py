"""A real HTTP server on the loopback, with the faults that downloads meet."""

import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Resource:
    """What one path answers. The `faults` are used up, one a request; then it behaves."""

    body: bytes
    content_type: str = "application/octet-stream"
    ranges: bool = True
    announce: int | None = None  # a Content-Length that is not the body's
    login: str | None = None  # "user:password"
    faults: list[int] = field(default_factory=list)  # cut the connection after so many bytes
    gate: threading.Event | None = None  # the body waits for it


class FileServer:
    """Serves `resources` by path and notes each request as `(path, Range header)`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.url = f"http://{address[0]}:{address[1]}"

    def add(self, path: str, body: bytes, **fields: object) -> str:
        self.resources[path] = Resource(body, **fields)  # type: ignore[arg-type]
        return self.url + path


@contextlib.contextmanager
def serve(certificate: Path | None = None) -> Iterator[FileServer]:
    """Run a server; over TLS with a PEM file of key and certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, server)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that hangs up is what some tests are about

    with Server(("127.0.0.1", 0), Handler) as http:
        server = FileServer(http.server_address[:2])  # type: ignore[arg-type]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
            server.url = server.url.replace("http:", "https:")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, server: FileServer) -> None:
    wanted = request.headers.get("Range")
    server.requests.append((request.path, wanted))
    resource = server.resources.get(request.path)
    if resource is None:
        request.send_error(404)
        return
    credentials = request.headers.get("Authorization", "")
    if (
        resource.login
        and credentials != "Basic " + base64.b64encode(resource.login.encode()).decode()
    ):
        request.send_error(401)
        return
    start = 0
    if wanted and resource.ranges:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(resource.body):
            request.send_error(416)
            return
        request.send_response(206)
        last = len(resource.body) - 1
        request.send_header("Content-Range", f"bytes {start}-{last}/{len(resource.body)}")
    else:
        request.send_response(200)
    body = resource.body[start:]
    length = len(body) if resource.announce is None else resource.announce
    request.send_header("Content-Length", str(length))
    request.send_header("Content-Type", resource.content_type)
    request.end_headers()
    if resource.gate:
        resource.gate.wait(timeout=60)
    request.wfile.write(body[: resource.faults.pop(0)] if resource.faults else body)
