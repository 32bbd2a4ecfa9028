"""Addresses of models on Triton servers."""

import pytest

from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.triton.address import Address
from lfw_eval.system.errors import UserError


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("triton://host/m", Address("grpc", "host:8001", "m")),
        ("triton+grpc://host:9/m/12", Address("grpc", "host:9", "m", 12)),
        ("triton+http://10.0.0.1/m.v2/", Address("http", "10.0.0.1:8000", "m.v2")),
        ("triton://[::1]:70/m", Address("grpc", "[::1]:70", "m")),
    ],
)
def test_addresses(text, parsed):
    assert Address.parse(text) == parsed
    assert Address.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *("triton", "triton://", "triton://host", "triton://host:x/m", "triton://host:99999/m"),
        *("triton://host/m/0", "triton://host/m/new", "triton://host/m/1/2", "triton://u@host/m"),
        *("triton://host/m?timeout=3", "triton+ssh://host/m", "triton:/host/m", "triton+http:"),
    ],
)
def test_no_addresses(text):
    with pytest.raises(UserError, match=r"triton\+?(http)?://"):
        choose_engine(text)
