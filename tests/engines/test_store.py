"""Facts about a stored engine, found once."""

from collections.abc import Callable
from pathlib import Path

from lfw_eval.engines.store import EngineStore


def test_a_fact_is_found_once_and_stays_with_its_engine(tmp_path):
    store = EngineStore(tmp_path, {"model": "a"})
    store.save(b"plan", seconds=3)
    asked = []

    def types_of(values: dict[str, int] | None) -> Callable[[], dict[str, int] | None]:
        return lambda: asked.append(values) or values

    types = {"int8": 9, "float16": 2}
    for _ in range(3):
        loaded = store.load()
        assert list(loaded.fact("types", types_of(types)).items()) == list(types.items())
        assert loaded.fact("nothing", types_of(None)) is None
    assert asked == [types, None]
    assert store.load().about == {"seconds": 3, "types": types, "nothing": None}
    assert EngineStore(tmp_path, {"model": "b"}).load() is None


def test_a_fact_that_cannot_be_written_is_found_again(tmp_path: Path):
    store = EngineStore(tmp_path, {"model": "a"})
    stored = store.save(b"plan")
    (tmp_path / f"{store.key}.json").unlink()
    assert [stored.fact("types", lambda: 1) for _ in range(2)] == [1, 1]
