"""What the command loads before a verb runs, and what its help says."""

import inspect
import json
import subprocess
import sys

import pytest
import typer
from command import lfw_eval

from lfw_eval import __version__
from lfw_eval.cli import cache, export
from lfw_eval.cli.app import EXIT_CODES, VERBS
from lfw_eval.cli.lazy import command_of

HEAVY = {"numpy", "onnx", "cv2", "scipy", "openvino", "onnxruntime", "ray", "torch"}
RUNTIMES = {"openvino", "onnxruntime", "ray", "torch", "tensorrt", "pyarrow", "altair"}
SLOW = {"scipy.stats", "scipy.optimize", "scipy.io", "requests", "urllib3", "sklearn"}
SUBVERBS = [("cache", verb) for verb in cache._VERBS] + [("export", verb) for verb in export._VERBS]
LEAVES = [("", verb) for verb in VERBS if not verb.target.endswith(":app")] + SUBVERBS


def loaded(*commands: tuple[str, ...]) -> dict[str, list[str]]:
    """The packages that one process has imported after each of the commands, which print."""
    code = (
        "import io, json, sys\n"
        "from contextlib import redirect_stdout\n"
        "from lfw_eval.cli.main import run\n"
        "packages = {}\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    with redirect_stdout(io.StringIO()):\n"
        "        assert run(arguments) == 0, arguments\n"
        "    names = {name.partition('.')[0] for name in sys.modules}\n"
        "    packages[' '.join(arguments)] = sorted(names)\n"
        "print(json.dumps(packages))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_help_and_version_load_nothing_heavy():
    for packages in loaded((), ("--help",), ("--version",)).values():
        assert not HEAVY & set(packages)


def test_help_of_a_verb_loads_no_runtime():
    commands = [(*group.split(), verb.name, "--help") for group, verb in LEAVES]
    for arguments, packages in loaded(*commands).items():
        assert not RUNTIMES & set(packages), arguments


def test_evaluate_loads_nothing_slow_that_it_does_not_use():
    code = "import sys, lfw_eval.cli.evaluate; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not SLOW & set(run.stdout.split())


@pytest.mark.parametrize(
    "verb", [*VERBS, *(verb for _, verb in SUBVERBS)], ids=lambda verb: verb.name
)
def test_the_table_says_what_the_verbs_say(verb):
    target = verb.load()
    if isinstance(target, typer.Typer):
        target = target.registered_callback.callback
    assert inspect.getdoc(target).partition("\n")[0] == verb.help


@pytest.mark.slow
def test_bare_command_prints_help(tmp_path):
    bare, asked = (lfw_eval(*arguments, cwd=tmp_path) for arguments in ((), ("--help",)))
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == asked.stdout
    assert all(verb.name in bare.stdout for verb in VERBS)
    assert all(verb.panel in bare.stdout for verb in VERBS)
    assert EXIT_CODES in " ".join(bare.stdout.split())
    group = lfw_eval("cache", cwd=tmp_path)
    assert (group.returncode, group.stderr) == (0, "")
    assert "to-qdq" in group.stdout


def test_version(tmp_path):
    assert lfw_eval("--version", cwd=tmp_path).stdout == f"lfw-eval {__version__}\n"


def test_one_vocabulary():
    """The same parameter has the same options in all verbs, and each writes by --output."""
    options: dict[str, set[tuple[str, ...]]] = {}
    for _, verb in LEAVES:
        parameters = [p for p in command_of(verb).params if not p.hidden]
        for parameter in parameters:
            if parameter.param_type_name == "option":
                options.setdefault(parameter.name, set()).add(tuple(parameter.opts))
    assert {name for name, declared in options.items() if len(declared) > 1} == set()
    assert options["output"] == {("--output", "-o")}
    assert options["batch_size"] == {("--batch-size", "--bs")}


@pytest.mark.parametrize("name", ["benchmark", "build", "live", "triton"])
def test_verbs_of_one_machine_have_no_ray(name):
    (verb,) = [verb for _, verb in LEAVES if verb.name == name]
    assert "ray" not in {parameter.name for parameter in command_of(verb).params}


@pytest.mark.slow
def test_flags_are_shown_without_a_type(tmp_path):
    for command in ((), ("evaluate",), ("cache", "show")):
        help_text = lfw_eval(*command, "--help", cwd=tmp_path).stdout
        assert "--help" in help_text
        assert "bool" not in help_text.casefold()
