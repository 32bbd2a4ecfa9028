"""What is kept under a recipe number stays the same until the number is raised.

`LFW_EVAL_WRITE_GOLDEN=1 pytest tests/integration/test_recipes.py` writes the golden values of those
recipes and library versions that `recipes.json` does not have yet; it leaves the others alone.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from golden_values import golden, moved
from recipe_outputs import STAGES

from lfw_eval.sources import NoSourceError

RECORD = Path(__file__).with_name("recipes.json")
WRITE = bool(os.environ.get("LFW_EVAL_WRITE_GOLDEN"))


SLOW = ("CenterFace's network", "conversion of Keras", "conversion of PyTorch")


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if name in SLOW else []


@pytest.mark.parametrize("name", [pytest.param(n, marks=_marks(n)) for n in STAGES])
def test_outputs_move_only_with_the_recipe(name, tmp_path):
    stage = STAGES[name]
    record = json.loads(RECORD.read_text())
    recorded = record.get(name, {"recipe": None, "libraries": {}})
    if (
        not WRITE
        and recorded["recipe"] == stage.recipe
        and recorded["libraries"] != stage.libraries
    ):
        pytest.skip(f"golden values are of {recorded['libraries']}, and here is {stage.libraries}")
    try:
        values = golden(stage.make(tmp_path))
    except NoSourceError as error:
        pytest.skip(f"its input cannot be had: {error}")
    if (recorded["recipe"], recorded["libraries"]) != (stage.recipe, stage.libraries):
        if WRITE:
            entry = {"recipe": stage.recipe, "libraries": stage.libraries, "values": values}
            RECORD.write_text(json.dumps({**record, name: entry}, indent=1) + "\n")
            return
        pytest.fail(
            f"{name}: there are no golden values of recipe {stage.recipe}; write them with "
            "LFW_EVAL_WRITE_GOLDEN=1"
        )
    assert not (changed := moved(recorded["values"], values, stage.tolerance)), (
        f"{name} moved ({', '.join(changed[:5])}): raise RECIPE in {stage.module}, or undo"
    )


def test_what_counts_as_moved():
    floats = np.linspace(-1, 1, 300).reshape(3, 100)
    old = golden({"a": floats, "b": np.arange(5), "c": "text", "d": floats[:1, :5]})
    assert not moved(old, golden({"a": floats * (1 + 1e-8), **plain(floats)}), 1e-6)
    assert moved(old, golden({"a": floats[::-1], **plain(floats)}), 1e-6) == ["a"]
    assert moved(old, golden({"a": floats + 1e-3, **plain(floats)}), 1e-6) == ["a"]
    assert moved(old, golden({"a": floats.ravel(), **plain(floats)}), 1e-6) == ["a"]
    other = {"a": floats, "b": np.arange(5) * 2, "c": "texts", "d": floats[:1, :5] * 2}
    assert moved(old, golden(other), 1e-6) == ["b", "c", "d"]
    assert moved(old, golden({"a": floats}), 1e-6) == ["b", "c", "d"]


def plain(floats):
    return {"b": np.arange(5), "c": "text", "d": floats[:1, :5]}
