"""The layout that CONTRIBUTING.md describes: where imports go, and how large a module may be."""

import configparser
import graphlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY

LINES = 300
MODULES = sorted(
    path for package in ("lfw_eval", "calibration") for path in (REPOSITORY / package).rglob("*.py")
)


def lint_imports(config: Path) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip("importlinter")
    command = shutil.which("lint-imports", path=Path(sys.executable).parent)
    assert command is not None
    return subprocess.run(
        [command, "--no-cache", config],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def test_contracts_are_kept() -> None:
    run = lint_imports(REPOSITORY / "setup.cfg")
    assert run.returncode == 0, run.stdout


@pytest.mark.slow
def test_an_arrow_that_goes_up_breaks_the_contract(tmp_path: Path) -> None:
    """With two layers exchanged, what is right becomes wrong, and is named."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg")
    layers = settings["importlinter:contract:layers"]
    layers["layers"] = layers["layers"].replace("gate | live", "x").replace("report", "gate | live")
    layers["layers"] = layers["layers"].replace("x", "report")
    edited = tmp_path / "setup.cfg"
    with edited.open("w") as file:
        settings.write(file)
    run = lint_imports(edited)
    assert run.returncode == 1
    assert "lfw_eval.report is not allowed to import lfw_eval.gate" in run.stdout


def test_no_modules_import_one_another_in_a_circle() -> None:
    """The package itself is left out: it hands the public calls on, and all are inside it."""
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("lfw_eval", "calibration", cache_dir=None)
    imports = {
        module: graph.find_modules_directly_imported_by(module) - {"lfw_eval"}
        for module in graph.modules - {"lfw_eval"}
    }
    list(graphlib.TopologicalSorter(imports).static_order())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_module_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES


def test_no_module_lies_loose() -> None:
    loose = {path.name for path in (REPOSITORY / "lfw_eval").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py", "api.py"}
