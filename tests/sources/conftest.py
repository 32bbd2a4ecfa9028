from collections.abc import Iterator

import pytest
from file_server import FileServer, serve


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve() as running:
        yield running
