"""Write the result files of benchmarks."""

import json
from pathlib import Path
from typing import Any

from lfw_eval.system.files import write_atomically


def write_json(path: Path, content: Any) -> str:
    """Write a result as JSON, and return its text."""
    text = json.dumps(content, indent=1)
    write_atomically(path, f"{text}\n".encode())
    return text
