import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import certifi
import pytest
from file_server import FileServer, serve
from waiting import wait_until

from lfw_eval.sources.download import download, writable
from lfw_eval.sources.transport import SourceFailedError, Transport, redact
from lfw_eval.system.errors import UserError

BODY = bytes(range(256)) * 12_000  # 3 MB: several chunks
SHA256 = hashlib.sha256(BODY).hexdigest()


def fetch(url: str, final: Path, size: int | None = len(BODY), sha256: str | None = SHA256) -> None:
    download(url, final, Transport(), size, sha256)


def left_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_a_download_lands_verified_and_alone(server: FileServer, tmp_path: Path) -> None:
    fetch(server.add("/a", BODY), tmp_path / "new" / "a")
    assert (tmp_path / "new" / "a").read_bytes() == BODY
    assert left_in(tmp_path / "new") == {"a": len(BODY)}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_is_continued_or_else_started_over(
    server: FileServer, tmp_path: Path, ranges: bool
) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:1_000_000])
    fetch(server.add("/a", BODY, ranges=ranges), tmp_path / "a")
    assert server.requests == [("/a", "bytes=1000000-")]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_complete_part_needs_no_request(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    fetch(server.add("/a", BODY), tmp_path / "a")
    assert server.requests == []
    assert left_in(tmp_path) == {"a": len(BODY)}


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 1)])
def test_a_stale_part_does_not_spoil_the_download(
    server: FileServer, tmp_path: Path, stale: bytes
) -> None:
    (tmp_path / "a.part").write_bytes(stale)
    fetch(server.add("/a", BODY), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_part_as_long_as_a_file_of_unknown_size(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"x" * len(BODY))  # the server answers 416
    fetch(server.add("/a", BODY), tmp_path / "a", size=None)
    assert (tmp_path / "a").read_bytes() == BODY


def test_without_a_hash_nothing_is_continued(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    fetch(server.add("/a", BODY), tmp_path / "a", size=None, sha256=None)
    assert server.requests == [("/a", None)]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_broken_transfer_is_continued_once(server: FileServer, tmp_path: Path) -> None:
    fetch(server.add("/a", BODY, faults=[2_500_000]), tmp_path / "a")
    assert server.requests == [("/a", None), ("/a", "bytes=2500000-")]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_transfer_that_breaks_twice_keeps_its_part(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a", BODY, faults=[1_200_000, 300_000])
    with pytest.raises(SourceFailedError, match="broke off"):
        fetch(url, tmp_path / "a")
    assert left_in(tmp_path) == {"a.part": 1_500_000}
    fetch(url, tmp_path / "a")
    assert server.requests[-1] == ("/a", "bytes=1500000-")
    assert left_in(tmp_path) == {"a": len(BODY)}


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_wrong_hash_is_refused_and_leaves_nothing(
    server: FileServer, tmp_path: Path, size: int | None
) -> None:
    wrong = BODY[:-1] + b"x"
    with pytest.raises(SourceFailedError, match=f"wrong file: its sha256 is .*, not {SHA256}"):
        fetch(server.add("/a", wrong), tmp_path / "a", size=size)
    assert left_in(tmp_path) == {}


@pytest.mark.parametrize("body", [BODY + b"x", BODY[:-1]], ids=["longer", "shorter"])
def test_a_wrong_size_is_refused_before_the_body(
    server: FileServer, tmp_path: Path, body: bytes
) -> None:
    with pytest.raises(SourceFailedError, match=f"file: {len(body)} bytes, not {len(BODY)}"):
        fetch(server.add("/a", body), tmp_path / "a")
    assert left_in(tmp_path) == {}


def test_a_missing_file_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailedError, match="HTTP 404 Not Found"):
        fetch(f"{server.url}/none", tmp_path / "a")
    assert left_in(tmp_path) == {}


def test_no_network_fails_at_once(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        begin = time.monotonic()
        with pytest.raises(SourceFailedError, match="no connection"):
            fetch(f"http://127.0.0.1:{closed.getsockname()[1]}/a", tmp_path / "a")
    assert time.monotonic() - begin < 5
    assert left_in(tmp_path) == {}


def test_an_announced_size_beyond_the_disk_is_refused(server: FileServer, tmp_path: Path) -> None:
    url = server.add("/a", b"", announce=1 << 60)
    with pytest.raises(UserError, match=f"{tmp_path} has no room for the {1 << 60} bytes"):
        fetch(url, tmp_path / "a", size=1 << 60)
    assert left_in(tmp_path) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is full")
def test_a_full_disk_is_the_users_to_mend(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=f"{tmp_path} has no room for the 7 bytes"),
        writable(tmp_path, 7),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"content")


def test_a_folder_that_cannot_be_made(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written to"):
        fetch(server.add("/a", BODY), tmp_path / "file" / "a")


FETCH = f"""
import sys
from pathlib import Path
from lfw_eval.sources.download import download
from lfw_eval.sources.transport import Transport
download(sys.argv[1], Path(sys.argv[2]), Transport(), {len(BODY)}, {SHA256!r})
"""


def start_fetch(url: str, final: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, url, str(final)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def start_two(url: str, final: Path) -> list[subprocess.Popen[str]]:
    """Start one download, and a second that has come to wait for it."""
    first = start_fetch(url, final)
    wait_until(final.with_name("a.part").exists)
    second = start_fetch(url, final)
    assert second.stderr is not None
    assert "waiting for another process" in second.stderr.readline()
    return [first, second]


def test_two_processes_share_one_download(server: FileServer, tmp_path: Path) -> None:
    gate = threading.Event()
    both = start_two(server.add("/a", BODY, gate=gate), tmp_path / "a")
    gate.set()
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert server.requests == [("/a", None)]
    assert left_in(tmp_path) == {"a": len(BODY)}


def test_the_second_process_takes_over_from_a_failed_first(
    server: FileServer, tmp_path: Path
) -> None:
    gate = threading.Event()
    both = start_two(server.add("/a", BODY[::-1], gate=gate), tmp_path / "a")
    wait_until(lambda: bool(server.requests))
    server.add("/a", BODY)
    gate.set()
    assert [bool(process.wait(timeout=60)) for process in both] == [True, False]
    assert left_in(tmp_path) == {"a": len(BODY)}


def test_ctrl_c_keeps_the_part_for_the_next_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # sends a half, then stalls
        process = start_fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/a", tmp_path / "a")
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
            connection.sendall(head + BODY[:2_000_000])
            part = tmp_path / "a.part"
            wait_until(lambda: part.stat().st_size >= 1 << 20)
            os.kill(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
    assert list(left_in(tmp_path)) == ["a.part"]
    partial = part.read_bytes()
    assert len(partial) >= 1 << 20 and BODY.startswith(partial)
    with serve() as server:
        fetch(server.add("/a", BODY), tmp_path / "a")
        assert server.requests == [("/a", f"bytes={len(partial)}-")]


def test_a_login_is_sent_and_never_shown(server: FileServer, tmp_path: Path) -> None:
    host = server.url.removeprefix("http://")
    server.add("/a", BODY, login="me:s3cr@t")
    fetch(f"http://me:s3cr%40t@{host}/a", tmp_path / "a")
    with pytest.raises(SourceFailedError) as refused:
        fetch(f"http://me:wrong@{host}/a", tmp_path / "b")
    assert "401" in str(refused.value) and "wrong" not in str(refused.value)
    assert redact(f"http://me:wrong@{host}/a?token=1#x") == f"http://{host}/a"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_a_certificate_is_trusted_where_pip_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "own.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {pem} -out {tmp_path}/cert -days 2"
    )
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *name], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert").read_text())
    # What is set for other programs must not override what pip is told.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with serve(pem) as server:
        url = server.add("/a", BODY)
        with pytest.raises(SourceFailedError, match="its certificate is not trusted"):
            fetch(url, tmp_path / "a")
        host = url.removeprefix("https://").removesuffix("/a")
        for number, transport in enumerate(
            [
                Transport(cert=str(tmp_path / "cert")),
                Transport(trusted_hosts=("127.0.0.1",)),
                Transport(trusted_hosts=(host,)),
            ]
        ):
            download(url, tmp_path / str(number), transport, len(BODY), SHA256)
        with pytest.raises(SourceFailedError, match="certificate file of pip's options"):
            download(url, tmp_path / "b", Transport(cert="/none.pem"))
