"""One name for each thing, and the names that things had before."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from command import lfw_eval, refused

from lfw_eval.cli import export, prepare
from lfw_eval.cli.app import VERBS
from lfw_eval.cli.cache import _VERBS as CACHE_VERBS
from lfw_eval.cli.errors import as_options, option_names
from lfw_eval.cli.export import _VERBS as EXPORT_VERBS
from lfw_eval.cli.flatten import group_of, with_values
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.cli.lazy import LeafCommand, command_of
from lfw_eval.cli.options import required_output
from lfw_eval.datasets.crop_store import open_crop_store
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.pipelines.engine_detectors import FaceDetectChoice
from lfw_eval.sources import NoSourceError
from lfw_eval.system.errors import UserError

BY_NAME = {verb.name: verb for verb in (*EXPORT_VERBS, *VERBS)}
BY_NAME |= {f"cache {verb.name}": verb for verb in CACHE_VERBS}
# Verb, arguments with a name that was in use, and the parameter and value that it still gives.
OLD = [
    ("evaluate", ["--bs", "8"], "batch_size", 8),
    ("evaluate", ["--tf32"], "tf32", True),
    ("convert", ["x.h5", "--fold"], "fold", True),
    ("detect", ["x", "--size", "320"], "size", 320),
    ("gate", ["x.json", "--json", "y.json"], "output", Path("y.json")),
    ("report", ["x.json", "--no-faces"], "anonymous", True),
    ("live", ["--least-score", "0.5"], "min_score", 0.5),
    ("live", ["--detector-cache", "x.cache"], "detector_cache", Path("x.cache")),
    ("triton", ["--facedetect-cache", "x"], "detector_calibration_cache", Path("x")),
    ("convert", ["x.h5", "out.onnx"], "output_argument", Path("out.onnx")),
    ("embed", ["photos", "out"], "output_argument", Path("out")),
    ("triton", ["models"], "output_argument", Path("models")),
    ("prepare", ["wider", "photos", "out.json"], "output_argument", Path("out.json")),
    ("cache convert", ["x", "y", "--tensorrt", "10.3.0"], "output_argument", Path("y")),
    ("cache to-qdq", ["x", "m.onnx", "out.onnx"], "output_argument", Path("out.onnx")),
]


def command(name: str) -> LeafCommand:
    return command_of(BY_NAME[name])


@pytest.mark.parametrize(("name", "arguments", "parameter", "value"), OLD)
def test_old_names_go_on_working(name, arguments, parameter, value):
    values = command(name).make_context(name, list(arguments)).params
    # Typer makes paths of strings here, or later.
    assert str(values[parameter]) == str(value)


@pytest.mark.parametrize(("name", "arguments"), [row[:2] for row in OLD])
def test_old_names_are_not_shown(name, arguments, capsys):
    # Some are names of today, too.
    old = {word for word in arguments if word.startswith("--")} - {"--bs", "--tensorrt"}
    leaf = command(name)
    context = leaf.make_context(name, [], resilient_parsing=True)
    print(leaf.get_help(context))
    assert not old & set(capsys.readouterr().out.split())
    assert "argument" not in leaf.get_usage(context)


def test_the_last_of_an_old_and_a_new_name_counts():
    arguments = ["x.json", "--json", "old.json", "--output", "new.json"]
    output = command("gate").make_context("gate", arguments).params["output"]
    assert str(output) == "new.json"


def test_output_is_named_once():
    assert required_output(Path("a"), None, "") == required_output(None, Path("a"), "") == Path("a")
    with pytest.raises(UserError, match="`output` is given twice, a and b"):
        required_output(Path("a"), Path("b"), "")
    with pytest.raises(UserError, match="`output` is missing; name it"):
        required_output(None, None, "name it")


def test_options_are_flattened_and_put_together_again():
    leaf = command("evaluate")
    arguments = ["lfw.tgz", "--precision", "fp16", "--gpu", "0,1", "--margin", "44"]
    values = leaf.make_context("evaluate", arguments).params
    options = group_of(JobOptions, values)
    assert options.data.name == "lfw.tgz"
    assert options.network.engine.precision == "fp16"
    assert options.network.alignment.margin == 44
    assert options.network.gpu.asked()["gpu"] == (0, 1)
    assert group_of(JobOptions, {}).network.engine.batch_size == 64


@pytest.mark.parametrize("text", ["0,0", "a", "-1", ""])
def test_gpus_that_are_none(text):
    with pytest.raises(UserError, match="is not a list of GPUs"):
        group_of(JobOptions, {"gpu": text}).network.gpu.asked()


def test_values_of_bare_options():
    bare = {"--ray": "local"}
    assert with_values([], bare) == []
    assert with_values(["--ray"], bare) == ["--ray=local"]
    assert with_values(["--ray", "--bs", "8"], bare) == ["--ray=local", "--bs", "8"]
    assert with_values(["--ray", "host:1"], bare) == ["--ray", "host:1"]
    assert command("evaluate").make_context("evaluate", ["--ray"]).params["ray"] == "local"


def test_errors_name_the_options_of_the_verb():
    names = option_names(command("detect").params)
    text = "`size`, `calibration_cache`, `images_argument`, `tf32`"
    assert as_options(text, names) == "--detection-size, --calibration-cache, IMAGES, --no-tf32"
    live = option_names(command("live").params)
    assert as_options("`detector_cache`", live) == "--detector-calibration-cache"
    # Of other verbs, and of no verb at all.
    assert as_options("`batch_size`, `tf32` and `ray`", {}) == ("--batch-size, --no-tf32 and --ray")
    assert as_options("an object with `images`, by `lfw-eval detect`", {}) == (
        "an object with 'images', by `lfw-eval detect`"
    )


@pytest.mark.parametrize("option", ["--crop-size", "--side"])
@pytest.mark.parametrize(
    ("text", "size"), [("112x96", (112, 96)), ("128", (128, 128)), ("112X96", (112, 96))]
)
def test_the_size_of_prepared_crops(small, monkeypatch, capsys, option, text, size):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(small / "data"))
    images, boxes = str(small / "faces"), str(small / "boxes.csv")
    command("prepare").main([images, "--boxes", boxes, option, text], standalone_mode=False)
    (store,) = (small / "data" / "prepared" / "faces").glob("crops-*")
    assert open_crop_store(store).crops.shape == (4, *size, 3)
    for wrong in ("20", "112x", "112x96x3", "big", "-112x96"):
        with pytest.raises(UserError, match=f"--crop-size '{wrong}' is neither a side nor"):
            command("prepare").main([images, option, wrong], standalone_mode=False)


@pytest.mark.parametrize("options", [[], ["--verify-images"]])
def test_annotated_images_are_verified_where_asked_for(monkeypatch, options):
    asked = []

    def opened(path, **values):
        asked.append(values["verify_images"])
        raise UserError("enough")

    for verb in (prepare, export):
        monkeypatch.setattr(verb, "open_faces", opened)
    with pytest.raises(UserError, match="enough"):
        command("prepare").main(
            ["photos", "--layout", "coco", "-o", "faces.json", *options], standalone_mode=False
        )
    with pytest.raises(UserError, match="enough"):
        export._facedetect(FaceDetectChoice(engine=EngineChoice()), Path("photos"), bool(options))
    assert asked == [bool(options)] * 2


def test_checkpoint_names_where_files_are_taken(facenet, tmp_path):
    run = lfw_eval("convert", "facenet-keras", "-o", "out.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    output, original = (onnx.load(path) for path in (tmp_path / "out.onnx", facenet.model))
    assert output.SerializeToString() == original.SerializeToString()
    caches = Path(__file__).parents[2] / "calibration" / "caches" / "facenet-keras"
    cache = caches / "trt-8601-entropy2.cache"
    run = lfw_eval("cache", "check", cache, "facenet-keras", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every tensor of the network has a scale" in run.stdout


def test_prepare_lfw_is_lfw_or_nothing(monkeypatch, tmp_path):
    """Where LFW is named, the celebrities do not take its place."""

    def fetched(entry, _):
        raise NoSourceError(f"no {entry.name}", "put it there")

    monkeypatch.setattr("lfw_eval.datasets.dataset.fetch", fetched)
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoSourceError, match="no lfw"):
        command("prepare").main(["lfw"], standalone_mode=False)


@pytest.mark.slow
def test_data_set_as_the_first_argument(small):
    words = (small / "faces", "--boxes", small / "boxes.csv")
    run = lfw_eval("prepare", *words, cwd=small, LFW_EVAL_DATASETS=str(small / "data"))
    assert run.returncode == 0, run.stderr
    assert "4 crops and 4 pairs" in run.stdout
    twice = lfw_eval("prepare", *words, "--dataset", "lfw", cwd=small)
    assert "--dataset is given twice" in refused(twice)
    wrong = lfw_eval("prepare", *words, "--output", "x.json", cwd=small)
    assert "--output is for annotations" in refused(wrong)


def test_python_m(tmp_path):
    command = [sys.executable, "-m", "lfw_eval", "--version"]
    assert subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
