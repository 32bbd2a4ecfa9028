"""The live picture in a browser: OpenCV's headless build has no windows."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from lfw_eval.live.frame import Image
from lfw_eval.live.stats import LiveStats
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError

_HOST = "127.0.0.1"
_QUALITY = 80
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>lfw-eval live</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark }
body { font: 16px/1.4 system-ui, sans-serif; margin: 1rem; max-width: 80rem }
img { max-width: 100%; display: block }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }
dd { margin: 0 }
</style>
<h1>lfw-eval live</h1>
<img src="/stream" alt="The current picture, with boxes and names">
<p id="state" role="status"></p>
<dl id="stats"></dl>
<script>
const ms = times => `${times.median.toFixed(1)} ms (90 %: ${times.p90.toFixed(1)})`;
async function look() {
  const state = document.getElementById("state");
  try {
    const stats = await (await fetch("/stats")).json();
    const rows = [["frames", stats.frames], ["dropped", stats.dropped],
      ["FPS", stats.fps.toFixed(1)], ["detection", ms(stats.detection_ms)],
      ["embedding per face", ms(stats.embedding_ms_per_face)], ["faces", stats.faces],
      ["unknown", stats.unknown], ...Object.entries(stats.people)];
    document.getElementById("stats").replaceChildren(...rows.flatMap(row =>
      row.map((text, column) => Object.assign(
        document.createElement(column ? "dd" : "dt"), { textContent: text }))));
    state.textContent = "";
    setTimeout(look, 1000);
  } catch { state.textContent = "The run has ended."; }
}
look();
</script>
</html>
"""


class Screen(Closing):
    """A page on this machine alone; a context manager that ends it.

    Attributes:
        address: To be opened in a browser.
    """

    def __init__(self, port: int, stats: Callable[[], LiveStats]) -> None:
        """Serve the page.

        Args:
            port: 0 picks a free one.
            stats: Shown beside the picture.

        Raises:
            UserError: The port is taken.
        """
        self._jpeg = b""
        self._number = self._watching = 0
        self._ended = False
        self._changed = threading.Condition()
        try:
            self._server = ThreadingHTTPServer((_HOST, port), _handler(self, stats))
        except OSError as error:
            raise UserError(
                f"`port` {port} cannot be used ({error.strerror})", "choose another one"
            ) from error
        self.address = f"http://{_HOST}:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, picture: Image) -> None:
        """Show a picture, uint8 (h, w, 3) BGR; it costs nothing while nobody watches."""
        if not self._watching:
            return
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        with self._changed:
            self._jpeg, self._number = jpeg.tobytes(), self._number + 1
            self._changed.notify_all()

    def send_to(self, send: Callable[[bytes], None]) -> None:
        """Hand over each JPEG as it comes, those left out that come while one is sent."""
        with self._changed:
            self._watching += 1
        try:
            sent = 0
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._ended or self._number > sent)  # noqa: B023
                    if self._ended:
                        return
                    jpeg, sent = self._jpeg, self._number
                send(jpeg)
        finally:
            with self._changed:
                self._watching -= 1

    def close(self) -> None:
        """End the page."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


def _handler(screen: Screen, stats: Callable[[], LiveStats]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = (self.headers.get("Host") or "").partition(":")[0]
            if host not in (_HOST, "localhost"):
                # DNS rebinding would let pages of other sites read the faces.
                self.send_error(403)
            elif self.path == "/":
                self._answer("text/html; charset=utf-8", _PAGE.encode())
            elif self.path == "/stats":
                self._answer("application/json", json.dumps(asdict(stats())).encode())
            elif self.path == "/stream":
                self._stream()
            else:
                self.send_error(404)

        def _answer(self, kind: str, content: bytes) -> None:
            self._begin(kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self) -> None:
            self._begin("multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                screen.send_to(self._part)
            except ConnectionError:
                return  # the page was closed

        def _part(self, jpeg: bytes) -> None:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

        def _begin(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: requests come with every picture's page."""

    return Handler
