"""The report in headless Chromium, as who opens it offline meets it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_inputs import Evaluated, calibrated, detected, saved, speeds, write_store

from lfw_eval.cli.report import report_command

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PAIRS = 6000
SECONDS = 10


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A report of 6,000 pairs with faces, calibration, speed and detection."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LFW_EVAL_DATASETS", str(folder / "datasets"))
        patched.setenv("LFW_EVAL_CHECKPOINTS", str(folder / "checkpoints"))
        names = [f"Ann_Lee_{row:04}" for row in range(800)]
        evaluated = Evaluated(PAIRS, write_store(folder / "datasets", names), len(names))
        table = calibrated(folder, study=True)
        paths = saved(
            folder,
            int8=evaluated.result("int8", table=table),
            fp16=evaluated.result("fp16"),
            speed=speeds(),
            faces=replace(detected(folder), detections=()),
        )
        images = folder / "images"
        report_command(
            paths,
            folder / "report.html",
            faces=images,
            annotations=images / "annotations.json",
        )
    yield folder / "report.html"


class Opened:
    """The page, and what the browser said and asked for while it was open."""

    def __init__(self, browser: Any, report: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        started = time.perf_counter()
        self.page.goto(report.as_uri())
        self.page.wait_for_selector("html[data-drawn]", timeout=60_000)
        self.seconds = time.perf_counter() - started


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Opened]:
    opening = Opened(browser, report, viewport={"width": 1280, "height": 900})
    yield opening
    opening.context.close()


def opacities(page: Any, figure: str) -> list[float]:
    """Of each line of a chart; Vega writes none where it is 1."""
    return page.eval_on_selector_all(
        f"[data-figure={figure}] .mark-line path",
        "paths => paths.map(path => Number(path.getAttribute('opacity') ?? 1))",
    )


def legend_entry(page: Any, figure: str, run: str) -> Any:
    return page.locator(f"[data-figure={figure}] .role-legend-label text", has_text=run).first


def hidden(page: Any, figure: str) -> int:
    return sum(opacity == 0 for opacity in opacities(page, figure))


def wait_for_hidden(page: Any, figure: str, lines: int) -> None:
    page.wait_for_function(
        "([figure, lines]) => [...document.querySelectorAll(`[data-figure=${figure}] "
        ".mark-line path`)].filter(p => p.getAttribute('opacity') === '0').length === lines",
        arg=[figure, lines],
        timeout=5000,
    )


def test_it_opens_without_an_error_or_a_request(opened: Opened, report: Path) -> None:
    print(f"drawn after {opened.seconds:.2f} s, {report.stat().st_size / 1e6:.2f} MB")
    assert opened.said == []
    assert set(opened.requests) == {report.as_uri()} | {
        url for url in opened.requests if url.startswith("data:")
    }
    assert opened.seconds < SECONDS
    assert report.stat().st_size < 15e6


def test_every_curve_is_there(opened: Opened) -> None:
    figures = opened.page.eval_on_selector_all(
        "[data-figure]", "all => all.map(each => each.dataset.figure)"
    )
    assert {"roc", "det", "scores", "folds", "sensitivity", "histogram-1"} <= set(figures)
    assert {"fps", "latency", "precision-recall"} <= set(figures)
    for figure in figures:
        marks = opened.page.locator(f"[data-figure={figure}] svg .mark-group path").count()
        assert marks > 1, figure
    assert len(opacities(opened.page, "roc")) == 3
    longest = opened.page.eval_on_selector_all(
        "[data-figure=roc] .mark-line path", "all => Math.min(...all.map(p => p.getTotalLength()))"
    )
    assert longest > 100


def test_a_click_on_a_legend_hides_a_curve(opened: Opened) -> None:
    page = opened.page
    assert hidden(page, "roc") == 0
    legend_entry(page, "roc", "INT8").click()
    wait_for_hidden(page, "roc", 1)
    # In the other charts too, and on the button.
    wait_for_hidden(page, "det", 1)
    wait_for_hidden(page, "fps", 1)
    assert page.locator("button[data-run=INT8]").first.get_attribute("aria-pressed") == "false"
    legend_entry(page, "det", "FP16").click()
    wait_for_hidden(page, "roc", 2)
    legend_entry(page, "roc", "INT8").click()
    legend_entry(page, "roc", "FP16").click()
    wait_for_hidden(page, "roc", 0)
    assert opened.said == []


def test_a_key_hides_a_curve(opened: Opened) -> None:
    page = opened.page
    button = page.locator("button[data-run=FP32]").first
    button.focus()
    assert button.evaluate("each => getComputedStyle(each).outlineStyle") != "none"
    page.keyboard.press("Space")
    wait_for_hidden(page, "roc", 1)
    assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Enter")
    wait_for_hidden(page, "roc", 0)


def test_all_runs_can_be_hidden_and_shown_again(opened: Opened) -> None:
    page = opened.page
    for run in ("FP32", "FP16", "INT8"):
        page.locator(f"button[data-run={run}]").first.click()
    wait_for_hidden(page, "roc", 3)
    page.locator("button[data-run=FP16]").first.click()
    wait_for_hidden(page, "roc", 2)


def test_the_first_key_skips_to_the_result(opened: Opened) -> None:
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the result"
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.id") == "main"


def test_a_point_tells_its_values(opened: Opened) -> None:
    page = opened.page
    point = page.locator("[data-figure=roc] .mark-symbol.role-mark path").nth(20)
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for(timeout=5000)
    assert "FAR" in tooltip.inner_text()


def test_it_has_names_for_those_who_do_not_see(opened: Opened) -> None:
    page = opened.page
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("h1").count() == 1
    labels = page.eval_on_selector_all(
        "[role=img]", "all => all.map(each => each.getAttribute('aria-label'))"
    )
    assert all(len(label) > 30 for label in labels)
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("table:not(:has(caption))").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_have_the_page_s_ink(browser: Any, report: Path, scheme: str) -> None:
    opening = Opened(browser, report, color_scheme=scheme)
    ink, ground, label = opening.page.evaluate(
        "() => { const of = (e, p) => getComputedStyle(document.querySelector(e))[p];"
        "return [of('body', 'color'), of('body', 'backgroundColor'),"
        "of('[data-figure=roc] .role-axis-label text', 'fill')] }"
    )
    assert label == ink
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    opening.context.close()


def test_a_phone_scrolls_in_one_direction(browser: Any, report: Path) -> None:
    opening = Opened(browser, report, viewport={"width": 400, "height": 800})
    assert opening.page.evaluate("document.documentElement.scrollWidth") <= 400
    widths = opening.page.eval_on_selector_all(
        "[data-figure] svg", "all => all.map(each => each.getBoundingClientRect().right)"
    )
    assert max(widths) <= 400
    opening.context.close()


def test_print_has_whole_charts_and_no_controls(opened: Opened) -> None:
    page = opened.page
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".toggles").first.is_visible()
    assert not page.locator("nav").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cut = page.eval_on_selector_all(
        "[data-figure]",
        "all => all.filter(e => e.querySelector('svg').getBoundingClientRect().right > "
        "e.getBoundingClientRect().right + 1).length",
    )
    assert cut == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
