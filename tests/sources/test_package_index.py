import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from archives import make_tar

from lfw_eval.sources import Package
from lfw_eval.sources.package_index import fetch_distribution
from lfw_eval.sources.pip_settings import pip_settings
from lfw_eval.sources.transport import SourceFailedError
from lfw_eval.system.errors import UserError

NAME = "some_project-1.0.tar.gz"


@pytest.fixture
def sdist(tmp_path: Path) -> bytes:
    """A source distribution whose setup.py leaves a mark if anyone runs it."""
    files = {
        "some_project-1.0/setup.py": f"open({str(tmp_path / 'setup-was-run')!r}, 'w')".encode(),
        "some_project-1.0/model/weights.h5": b"weights",
    }
    return make_tar(tmp_path / "made.tar.gz", files).read_bytes()


@pytest.fixture
def package(sdist: bytes) -> Package:
    return Package(
        project="Some_Project",
        version="1.0",
        distribution=NAME,
        size=len(sdist),
        sha256=hashlib.sha256(sdist).hexdigest(),
        member="some_project-1.0/model/weights.h5",
    )


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip as on a machine where nobody configured it; each test says what it configures."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def html(href: str) -> bytes:
    other = '<a href="some_project-0.9.tar.gz">some_project-0.9.tar.gz</a>'
    return f"<!DOCTYPE html><body>{other}<a href='{href}'>{NAME}</a></body>".encode()


def test_an_html_index(server, package, sdist, tmp_path, monkeypatch):
    page = html(f"../../files/{NAME}?a=1&amp;b=2#sha256={package.sha256}")
    server.add("/simple/some-project/", page, content_type="text/html; charset=utf-8")
    server.add(f"/files/{NAME}?a=1&b=2", sdist)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
    fetched = fetch_distribution(package, tmp_path / "kept")
    assert fetched == tmp_path / "kept" / NAME
    assert fetched.read_bytes() == sdist
    assert fetch_distribution(package, tmp_path / "kept") == fetched
    assert len(server.requests) == 2  # the second call asks nobody
    assert not (tmp_path / "setup-was-run").exists()


def test_a_json_index(server, package, sdist, tmp_path, monkeypatch):
    files = [
        {"filename": "some_project-0.9.tar.gz", "url": "0.9", "hashes": {}},
        {"filename": NAME, "url": f"/f/{NAME}", "hashes": {"sha256": package.sha256}},
    ]
    page = json.dumps({"files": files}).encode()
    json_type = "application/vnd.pypi.simple.v1+json"
    server.add("/simple/some-project/", page, content_type=json_type)
    server.add(f"/f/{NAME}", sdist)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    assert fetch_distribution(package, tmp_path / "kept").read_bytes() == sdist


@pytest.mark.slow
@pytest.mark.parametrize("page", [b"no json", b"[]", b'{"files": [{"filename": "x"}]}'])
def test_a_broken_json_page(server, package, tmp_path, monkeypatch, page):
    server.add("/some-project/", page, content_type="application/json")
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    with pytest.raises(SourceFailedError, match="not of the simple repository API"):
        fetch_distribution(package, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [True, False], ids=["file-url", "path"])
@pytest.mark.parametrize("layout", ["index", "folder-of-index", "find-links", "find-links-page"])
def test_local_places_are_used_where_they_are(
    package, sdist, tmp_path, monkeypatch, layout, scheme
):
    place = tmp_path / "a place"
    folder = place / "some-project" if "index" in layout else place
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(sdist)
    target = place
    if layout == "index":
        (folder / NAME).rename(place / NAME)
        (folder / "index.html").write_bytes(html(f"../{NAME}#sha256={package.sha256}"))
    if layout == "find-links-page":
        target = place / "links.html"
        target.write_bytes(html(NAME))
    # pip's lists are separated by blanks, so a path with one can only be given as a URL.
    if not scheme:
        place = place.rename(tmp_path / "place")
        target = tmp_path / "place" / target.name if target.suffix else place
    address = target.as_uri() if scheme else str(target)
    monkeypatch.setenv("PIP_FIND_LINKS" if "find" in layout else "PIP_EXTRA_INDEX_URL", address)
    monkeypatch.setenv("PIP_INDEX_URL", str(tmp_path / "nothing-here"))
    fetched = fetch_distribution(package, tmp_path / "kept")
    assert fetched.is_relative_to(place)
    assert fetched.read_bytes() == sdist
    assert not (tmp_path / "kept").exists()


def test_another_sha256_in_the_index_is_refused_unseen(
    server, package, sdist, tmp_path, monkeypatch
):
    server.add("/some-project/", html(f"{NAME}#sha256={'0' * 64}"), content_type="text/html")
    server.add(f"/some-project/{NAME}", sdist)
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    with pytest.raises(SourceFailedError, match=f"sha256 is {'0' * 64}, not {package.sha256}"):
        fetch_distribution(package, tmp_path / "kept")
    assert [path for path, _ in server.requests] == ["/some-project/"]


def test_another_file_than_the_index_states_is_refused(
    server, package, sdist, tmp_path, monkeypatch
):
    page = html(f"{NAME}#sha256={package.sha256}")
    server.add("/some-project/", page, content_type="text/html")
    server.add(f"/some-project/{NAME}", sdist[:-1] + b"x")
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    with pytest.raises(SourceFailedError, match="it sent a wrong file"):
        fetch_distribution(package, tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


def test_a_wrong_local_file_is_passed_over_for_the_next_place(
    server, package, sdist, tmp_path, monkeypatch
):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / NAME).write_bytes(b"wrong")
    server.add("/some-project/", html(NAME), content_type="text/html")
    server.add(f"/some-project/{NAME}", sdist)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wrong"))
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    assert fetch_distribution(package, tmp_path / "kept").read_bytes() == sdist


@pytest.mark.slow
def test_a_login_reaches_page_and_file_and_no_message(
    server, package, sdist, tmp_path, monkeypatch
):
    page = html(f"{server.url}/files/{NAME}")  # absolute: without the index's login
    server.add("/some-project/", page, content_type="text/html", login="me:s3cr@t")
    server.add(f"/files/{NAME}", sdist, login="me:s3cr@t")
    host = server.url.removeprefix("http://")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:s3cr%40t@{host}")
    assert fetch_distribution(package, tmp_path / "kept").read_bytes() == sdist
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:wrong@{host}")
    with pytest.raises(SourceFailedError) as refused:
        fetch_distribution(package, tmp_path / "other")
    assert str(refused.value) == f"{server.url}/some-project/ (HTTP 401 Unauthorized)"


def test_everything_tried_is_told(server, package, tmp_path, monkeypatch):
    server.add(
        "/b/some-project/",
        b"<base href='http://['><a href='http://[x'>x</a>",
        content_type="text/html",
    )
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/a")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{server.url}/b http://[bad")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))
    with pytest.raises(SourceFailedError) as failed:
        fetch_distribution(package, tmp_path / "kept")
    assert str(failed.value).split("; ") == [
        f"{tmp_path}/none (it does not exist)",
        f"{server.url}/a/some-project/ (HTTP 404 Not Found)",
        f"{server.url}/b/some-project/ (it does not have {NAME})",
        "a malformed URL (not a usable address)",
    ]


def test_a_base_address_moves_the_links(server, package, sdist, tmp_path, monkeypatch):
    page = f"<base href='/else/where/'><a href='{NAME}'>{NAME}</a>".encode()
    server.add("/some-project/", page, content_type="text/html")
    server.add(f"/else/where/{NAME}", sdist)
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    assert fetch_distribution(package, tmp_path / "kept").read_bytes() == sdist


def test_a_wrong_kept_distribution_is_the_users_to_mend(package, tmp_path):
    (tmp_path / NAME).write_bytes(b"wrong")
    with pytest.raises(UserError, match=f"{NAME} is the wrong file: .* delete it"):
        fetch_distribution(package, tmp_path)


@pytest.mark.slow
def test_pip_files_and_variables_are_read_as_pip_does(tmp_path, monkeypatch):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://global/simple\nproxy = http://proxy:1\ncert = /ca.pem\n"
        "extra-index-url =\n    https://u:p%40@one/simple\n    https://two/simple\n"
        "trusted-host = a b:8080\n"
        "[install]\nindex-url = https://install/simple\n"
        "[list]\nindex-url = https://list/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/links more/links")
    settings = pip_settings()
    assert settings.indexes == (
        "https://install/simple",
        "https://u:p%40@one/simple",
        "https://two/simple",
    )
    assert settings.find_links == ("/links", "more/links")
    assert settings.transport.cert == "/ca.pem"
    assert settings.transport.proxy == "http://proxy:1"
    assert settings.transport.trusted_hosts == ("a", "b:8080")
    assert "p%40" not in repr(settings.transport)
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable/simple")
    assert pip_settings().indexes[0] == "https://variable/simple"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert pip_settings().indexes == ()


@pytest.mark.slow
def test_the_default_index_is_that_of_pip():
    (index,) = pip_settings().indexes
    assert index.startswith("https://") and index.endswith("/simple")


def test_without_pip_the_variables_are_read(tmp_path, monkeypatch):
    environment = tmp_path / "without-pip"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    monkeypatch.setattr(sys, "executable", str(environment / "bin" / "python"))
    assert pip_settings().indexes == ()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv/simple")
    assert pip_settings().indexes == ("https://uv/simple",)
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip/simple")
    assert pip_settings().indexes == ("https://pip/simple",)
