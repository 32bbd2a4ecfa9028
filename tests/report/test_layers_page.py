"""The page, table and CSV of a comparison tensor by tensor."""

import csv
import io
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_results import NAMES, layer_comparison

from lfw_eval.report.page.layer_path import lay_out
from lfw_eval.report.tables.layers import layers_table
from lfw_eval.results.layers_csv import layers_csv

pytest.importorskip("jinja2", reason="the extra report is not installed")
from lfw_eval.report.page.layers_page import render_layers
from lfw_eval.report.page.palette import DARK, LIGHT, NOISE_DARK, NOISE_LIGHT


@st.composite
def networks(draw):
    """Names in order, and of each some of those before it."""
    names = [f"t{n}" for n in range(draw(st.integers(1, 12)))]
    before = {
        name: tuple(draw(st.sets(st.sampled_from(names[:row]), max_size=3)) if row else ())
        for row, name in enumerate(names)
    }
    return names, before


@given(networks())
def test_no_line_runs_through_the_dot_of_another_tensor(network):
    names, before = network
    path = lay_out(names, before)
    assert len(path.lanes) == len(names)
    assert path.width == 1 + max(path.lanes)
    assert len(path.edges) == sum(map(len, before.values()))
    for edge in path.edges:
        assert path.lanes[edge.source] == edge.source_lane
        assert path.lanes[edge.target] == edge.target_lane
        between = path.lanes[edge.source + 1 : edge.target]
        assert edge.source_lane not in between


def test_a_chain_is_a_single_lane():
    path = lay_out(["a", "b", "c"], {"a": (), "b": ("a",), "c": ("b",)})
    assert path.lanes == (0, 0, 0)


def test_the_page_has_every_tensor_and_escapes_its_name():
    page = render_layers(layer_comparison(), ["lfw-eval", "compare-layers"])
    assert len(re.findall(r'<li id="tensor-\d+"', page)) == len(NAMES)
    assert "right&lt;b&gt;" in page
    assert "right<b>" not in page
    assert "<script" not in page
    assert "1 of 5 layers in floating point gives back 60 % of the lost cosine" in page
    assert "stem_bn" in page
    # Conv is fused into what stands as one row.
    assert "· Conv + Relu" in page
    assert page.count('class="explains"') == 1


def test_a_result_without_an_explanation_has_a_page_too():
    page = render_layers(replace(layer_comparison(), explanation=None, fused=()), ["lfw-eval"])
    assert "give back" not in page
    assert "Fused away" not in page


def luminance(colour: str) -> float:
    """Of WCAG 2.1."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(("theme", "colours"), [(LIGHT, NOISE_LIGHT), (DARK, NOISE_DARK)])
def test_noise_is_told_by_lightness_alone(theme, colours):
    ground = luminance(theme.background)
    contrasts = []
    for colour in colours:
        low, high = sorted((luminance(colour), ground))
        contrasts.append((high + 0.05) / (low + 0.05))
    assert min(contrasts) >= 3
    assert all(b > 1.1 * a for a, b in pairwise(contrasts)), contrasts


def test_table():
    lines = layers_table(layer_comparison()).splitlines()
    first = next(line for line in lines if line.startswith("  1*"))
    assert first.split() == [
        "1*right<b>",
        "Relu",
        "6.00",
        "%",
        "12.0",
        "+23.0",
        "6.0e-02",
        "2.5x",
        "2.5x",
    ]
    assert "          * up, which reads right<b>" in lines
    assert max(map(len, lines)) <= 100


def test_layers_as_csv():
    rows = list(csv.DictReader(io.StringIO(layers_csv(layer_comparison()))))
    assert [row["layer"] for row in rows][:2] == ["up", "reads left"]
    assert [row["explains_loss"] for row in rows] == ["yes", *["no"] * 4]
    assert rows[0] | {"input_tensor": "right<b>", "sqnr_db": "12"} == rows[0]
    exact = next(row for row in rows if row["layer"] == "reads input")
    assert exact["sqnr_db"] == exact["step_db"] == ""


def test_a_layer_without_a_tensor_comes_last():
    result = layer_comparison()
    rows = list(csv.DictReader(io.StringIO(layers_csv(replace(result, layers=("new", "up"))))))
    assert (rows[-1]["layer"], rows[-1]["input_tensor"]) == ("new", "")


@pytest.mark.parametrize("width", [360, 1200])
def test_in_a_browser(browser, tmp_path, width):
    (tmp_path / "page.html").write_text(render_layers(layer_comparison(), ["lfw-eval"]))
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    said, requests = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not said
    assert len([url for url in requests if not url.startswith("data:")]) == 1
    # The dots are where their rows are.
    dots, rows = (
        page.eval_on_selector_all(
            selector, "all => all.map(e => e.getBoundingClientRect()).map(r => r.y + r.height / 2)"
        )
        for selector in (".path > svg .mark", ".path li")
    )
    assert dots == pytest.approx(rows, abs=1)
    context.close()
