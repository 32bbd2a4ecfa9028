"""The sha256 of a result file's content, which shows that it was edited; it is no signature."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_FIRST_SCHEMA = 5
"""Files of earlier schemas have none."""


def content_sha256(content: Mapping[str, Any]) -> str:
    """Return the sha256 of all but itself, whatever the layout, order or form of numbers."""
    rest = {name: value for name, value in content.items() if name != "content_sha256"}
    # A tool that formats JSON may write 1.0 as 1.
    numbers = json.loads(json.dumps(rest), parse_int=float)
    return sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def is_edited(content: Mapping[str, Any]) -> bool:
    """Return whether a file's content is not what its sha256 was taken of."""
    hashed = content["schema"] >= _FIRST_SCHEMA
    return hashed and content.get("content_sha256") != content_sha256(content)
