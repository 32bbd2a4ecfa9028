"""Fixtures of the report's tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path
