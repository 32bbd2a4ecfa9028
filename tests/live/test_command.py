"""lfw-eval live as its users meet it: videos, folders, a camera, Ctrl-C, mistakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter

import cv2
import numpy as np
import pytest
from command import lfw_eval, refused
from live_video import write_video
from waiting import wait_until

from lfw_eval.cli.app import VERBS
from lfw_eval.cli.lazy import command_of
from lfw_eval.datasets.celebrities import celebrity_files
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.live.screen import Screen
from lfw_eval.live.stats import Tally
from lfw_eval.sources import NoSourceError, datasets, fetch
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.slow

STRANGERS = 23
COMMAND = next(command_of(verb) for verb in VERBS if verb.name == "live")

QUICK = ("--engine", "dummy", "--precision", "fp32", "--dataset", "celebrities")
INT8 = ("--precision", "int8", "--dataset", "celebrities")


@pytest.fixture(scope="session")
def celebrities(facenet, mtcnn_weights):
    """The photographs of `val`, and of `train`, by their paths."""
    collection = datasets()
    try:
        folder = fetch(collection.entry("celebrities"), collection)
    except NoSourceError as error:
        pytest.skip(f"the celebrities cannot be had: {error}")
    files = sorted(celebrity_files(folder).values())
    return {part: [p for p in files if p.parts[-3] == part] for part in ("train", "val")}


@pytest.fixture(scope="session")
def gallery(celebrities, tmp_path_factory):
    """Five photographs of each."""
    folder = tmp_path_factory.mktemp("gallery")
    for path in celebrities["val"]:
        (folder / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    return folder


@pytest.fixture(scope="session")
def film(celebrities, real_data, tmp_path_factory):
    """A 1080p video of the other 93 photographs and of strangers of LFW, and what is in it."""
    photographs = [(p.parent.name, cv2.imread(str(p))) for p in celebrities["train"]]
    lfw = open_photographs(real_data / "lfw.tgz")
    gallery_people = ("Ben_Affleck", "Elton_John", "Jerry_Seinfeld", "Madonna")
    firsts = [n for n in lfw.names if n.endswith("_0001") and not n.startswith(gallery_people)]
    chosen = firsts[:: len(firsts) // STRANGERS][:STRANGERS]
    photographs += [(None, image[..., ::-1]) for _, image in lfw.read(chosen)]
    order = np.random.default_rng(1).permutation(len(photographs))
    path = tmp_path_factory.mktemp("film") / "celebrities.mp4"
    return path, write_video(path, [photographs[index] for index in order], stay=3)


@pytest.fixture(scope="session")
def short(celebrities, tmp_path_factory):
    """12 frames of 640x360 with four celebrities."""
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    photographs = [(p.parent.name, cv2.imread(str(p))) for p in celebrities["train"][5:9]]
    write_video(path, photographs, width=640, height=360, frames=12)
    return path


def live(*arguments):
    """Run the command in this process, which spares it seconds of importing."""
    COMMAND.main(list(map(str, arguments)), standalone_mode=False)


def sentence(*arguments):
    with pytest.raises(UserError) as caught:
        live(*arguments)
    return str(caught.value)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def size_of(path):
    """Frames, width and height of a video, counted by decoding it."""
    capture = cv2.VideoCapture(str(path))
    shapes = Counter()
    while True:
        good, picture = capture.read()
        if not good:
            break
        shapes[picture.shape[1::-1]] += 1
    ((size, frames),) = shapes.items()
    return frames, *size


def judged(content, truth):
    """Photographs named rightly, and faces of strangers and of celebrities named wrongly."""
    tally = Counter()
    for row, placed in zip(content["frames"], truth, strict=True):
        for photograph in placed:
            x0, y0, x1, y1 = photograph.region
            names = []
            for face in row["faces"]:
                x, y = np.array(face["box"]).reshape(2, 2).mean(axis=0)
                if x0 <= x < x1 and y0 <= y < y1:
                    names.append(face["name"])
            kind = "strangers" if photograph.name is None else "celebrities"
            tally[kind] += 1
            tally[f"{kind} right"] += photograph.name in names
            tally[f"{kind} faces"] += len(names)
            tally[f"{kind} wrong"] += sum(n not in (None, photograph.name) for n in names)
    return tally


@pytest.mark.parametrize(("detector", "min_share"), [("mtcnn", 0.95), ("yunet", 0.93)])
def test_names_on_a_1080p_video(film, gallery, real_data, tmp_path, capsys, detector, min_share):
    path, truth = film
    model = ("--model", real_data / "yunet_n_dynamic.onnx") if detector == "yunet" else ()
    written = ("--output", tmp_path / "out.mp4", "--json", tmp_path / "out.json")
    live(path, "--gallery", gallery, "--detector", detector, *model, *INT8, *written)
    content = read(tmp_path / "out.json")
    tally = judged(content, truth)
    with capsys.disabled():
        print(f"\n{detector}: {dict(tally)}")
    assert tally["celebrities right"] >= min_share * tally["celebrities"]
    assert tally["celebrities wrong"] <= 0.005 * tally["celebrities faces"]
    # Of 2,016 people of LFW 1.5 % are nearer than 1.1 to one of these 25 photographs.
    assert tally["strangers wrong"] <= 0.05 * tally["strangers faces"]
    assert size_of(tmp_path / "out.mp4") == (len(truth), 1920, 1080)
    stats = content["stats"]
    assert stats["frames"] == len(content["frames"]) == len(truth)
    assert [row["frame"] for row in content["frames"]] == list(range(len(truth)))
    assert stats["dropped"] == 0
    faces = [face for row in content["frames"] for face in row["faces"]]
    assert stats["faces"] == len(faces)
    assert stats["unknown"] == sum(face["name"] is None for face in faces)
    assert stats["detection_ms"]["count"] == len(truth)
    assert all((f["name"] is not None) == (f["distance"] < 1.1) for f in faces)
    assert content["about"]["engine"]["arithmetic"].startswith("int8")
    printed = capsys.readouterr().out
    for said in ("FPS", "detection per frame", "per face", "mindy_kaling"):
        assert said in printed


def test_fp16_names_the_same(short, gallery, tmp_path):
    names = {}
    for precision in ("fp16", "int8"):
        options = ("--gallery", gallery, "--precision", precision, "--dataset", "celebrities")
        live(short, *options, "--json", tmp_path / f"{precision}.json")
        content = read(tmp_path / f"{precision}.json")
        names[precision] = [[f["name"] for f in row["faces"]] for row in content["frames"]]
    assert names["fp16"] == names["int8"]
    assert sum(name is not None for row in names["fp16"] for name in row) > 12


def test_a_folder_of_images_of_several_sizes(celebrities, gallery, tmp_path):
    (tmp_path / "images").mkdir()
    for index, path in enumerate(celebrities["train"][:3]):
        shutil.copy(path, tmp_path / "images" / f"{index}.jpg")
    first = cv2.imread(str(tmp_path / "images" / "0.jpg"))
    sizes = {cv2.imread(str(p)).shape for p in (tmp_path / "images").iterdir()}
    assert len(sizes) == 3
    written = ("--output", tmp_path / "out.mp4", "--json", tmp_path / "out.json")
    live(tmp_path / "images", "--gallery", gallery, *QUICK, *written, "--fps", 2)
    # The codec cuts an odd last row or column off.
    expected = (3, first.shape[1] // 2 * 2, first.shape[0] // 2 * 2)
    assert size_of(tmp_path / "out.mp4") == expected
    assert [row["seconds"] for row in read(tmp_path / "out.json")["frames"]] == [0, 0.5, 1]


def test_a_broken_image_ends_the_run_and_leaves_nothing(celebrities, gallery, tmp_path):
    (tmp_path / "images").mkdir()
    for index, path in enumerate(celebrities["train"][:6]):
        shutil.copy(path, tmp_path / "images" / f"{index}.jpg")
    broken = tmp_path / "images" / "4.jpg"
    broken.write_bytes(broken.read_bytes()[:3000])
    written = ("--output", "o/out.mp4", "--json", "o/out.json")
    run = lfw_eval("live", "images", "--gallery", gallery, *QUICK, *written, cwd=tmp_path)
    assert "4.jpg is corrupt or truncated" in refused(run)
    assert list((tmp_path / "o").iterdir()) == []


def test_a_gallery_with_what_is_no_face(short, celebrities, tmp_path, capsys):
    folder = tmp_path / "gallery"
    folder.mkdir()
    shutil.copy(celebrities["val"][0], folder / "Бен Аффлек.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    cv2.imwrite(str(folder / "wall.png"), np.full((200, 200, 3), 90, np.uint8))
    live(short, "--gallery", folder, *QUICK, "--json", tmp_path / "out.json")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gallery: ")]
    assert len(lines) == 3
    assert any("broken.jpg is corrupt" in line for line in lines)
    assert any("no face detected in" in line and "wall.png" in line for line in lines)
    assert "gallery: + Бен Аффлек" in lines
    faces = [face for row in read(tmp_path / "out.json")["frames"] for face in row["faces"]]
    assert {face["nearest"] for face in faces} == {"Бен Аффлек"}


def started(*arguments, cwd):
    command = [sys.executable, "-m", "lfw_eval", "live"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


class Camera:
    """A camera on the network: one picture, 25 times a second, as long as it is open."""

    def __init__(self, picture):
        self.picture, self.sent = picture, 0
        self._screen, self._ended = Screen(0, Tally().stats), threading.Event()
        self.address = f"{self._screen.address}stream"
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self):
        while not self._ended.wait(0.04):
            self._screen.show(self.picture)
            self.sent += 1

    def close(self):
        self._ended.set()
        self._screen.close()


def test_people_come_and_go_while_a_camera_runs(celebrities, tmp_path):
    (tmp_path / "gallery").mkdir()
    photograph = celebrities["val"][5]
    picture = cv2.resize(cv2.imread(str(photograph)), (640, 640))
    camera = Camera(picture)
    written = ("--output", "out.mp4", "--json", "out.json")
    run = started(
        "--camera", camera.address, "--gallery", "gallery", *INT8, *written, cwd=tmp_path
    )  # fmt: skip
    try:
        record = record_of(run, tmp_path)
        wait_until(lambda: None in names(record), 90, run)
        shutil.copy(photograph, tmp_path / "gallery" / "Elton.jpg")
        wait_until(lambda: "Elton" in names(record), 90, run)
        (tmp_path / "gallery" / "Elton.jpg").unlink()
        (tmp_path / "gallery" / "broken.jpg").write_bytes(b"")
        wait_until(lambda: names(record)[-1] is None, 90, run)
    finally:
        camera.close()
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert "gallery: + Elton" in errors
    assert "gallery: - Elton" in errors
    stats = read(tmp_path / "out.json")["stats"]
    names_by_frame = [row["faces"][0]["name"] for row in read(tmp_path / "out.json")["frames"]]
    changes = [b for a, b in zip([0, *names_by_frame], names_by_frame, strict=False) if a != b]
    assert changes == [None, "Elton", None]
    assert stats["people"] == {"Elton": names_by_frame.count("Elton")}
    # What was dropped is made up for: the video lasts as long as the run.
    frames, *_ = size_of(tmp_path / "out.mp4")
    assert frames / 25 == pytest.approx(stats["seconds"], rel=0.3, abs=1)
    assert "dropped" in output


def record_of(run, folder):
    """The JSON file that a process writes, under the name that it has meanwhile."""
    wait_until(lambda: list(folder.glob(".out.json.*")), 90, run)
    (path,) = folder.glob(".out.json.*")
    return path


def names(path):
    """Of the one face in each frame of a file that is being written; its last line may be half."""
    lines = path.read_text(encoding="utf-8").split("\n")[2:]
    frames = [json.loads(line.rstrip(",")) for line in lines if line.endswith("},")]
    return [frame["faces"][0]["name"] for frame in frames]


def test_ctrl_c_leaves_a_whole_video_and_json(short, gallery, celebrities, tmp_path):
    (tmp_path / "images").mkdir()
    for index in range(2000):
        (tmp_path / "images" / f"{index:05}.jpg").symlink_to(celebrities["train"][0])
    written = ("--output", "out.mp4", "--json", "out.json")
    run = started("images", "--gallery", gallery, *QUICK, *written, cwd=tmp_path)
    record = record_of(run, tmp_path)
    wait_until(lambda: record.stat().st_size > 10_000, 90, run)
    run.send_signal(signal.SIGINT)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert "ended by Ctrl-C" in output
    content = read(tmp_path / "out.json")
    assert 0 < len(content["frames"]) < 2000
    assert content["stats"]["interrupted"]
    assert size_of(tmp_path / "out.mp4")[0] == len(content["frames"])
    assert not list(tmp_path.glob(".out*"))


def test_the_page(short, tmp_path):
    tally = Tally()
    with Screen(0, tally.stats) as screen:
        assert screen.address.startswith("http://127.0.0.1:")
        stream = urllib.request.urlopen(f"{screen.address}stream", timeout=10)
        wait_until(lambda: screen.show(np.full((90, 160, 3), 200, np.uint8)) or screen._number, 90)
        assert stream.readline() == b"--frame\r\n"
        assert stream.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(stream.readline().split()[1])
        stream.readline()
        jpeg = cv2.imdecode(np.frombuffer(stream.read(length), np.uint8), cv2.IMREAD_COLOR)
        assert jpeg.shape == (90, 160, 3)
        stream.close()
        page = urllib.request.urlopen(screen.address, timeout=10).read().decode()
        assert 'src="/stream"' in page
        stats = json.load(urllib.request.urlopen(f"{screen.address}stats", timeout=10))
        assert stats["frames"] == 0
        for path, host, code in (("nothing", "localhost", 404), ("stats", "evil.example", 403)):
            request = urllib.request.Request(screen.address + path, headers={"Host": host})
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=10)
            assert caught.value.code == code
        port = screen.address.rstrip("/").rpartition(":")[2]
        taken = (short, "--gallery", tmp_path, *QUICK, "--show", "--port", port)
        assert f"--port {port} cannot be used" in sentence(*taken)


def test_mistakes(short, gallery, tmp_path, real_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    with_gallery = ("--gallery", gallery, *QUICK)
    assert "give either a video file" in sentence(*with_gallery)
    assert "give either a video file" in sentence(short, "--camera", "0", *with_gallery)
    assert "--gallery is missing" in sentence(short, *QUICK)
    assert "is not a directory" in sentence(short, *QUICK, "--gallery", short)
    assert "nowhere.mp4 does not exist" in sentence("nowhere.mp4", *with_gallery)
    assert "text.mp4 cannot be opened" in sentence("text.mp4", *with_gallery)
    assert "holds no images" in sentence("none", *with_gallery)
    assert "--camera 97 cannot be opened" in sentence("--camera", "97", *with_gallery)
    assert "must end in .mp4" in sentence(short, *with_gallery, "--output", "x.avi")
    assert "must end in .json" in sentence(short, *with_gallery, "--json", "x.mp4")
    assert "would overwrite SOURCE" in sentence(short, *with_gallery, "--output", short)
    assert "needs a --model" in sentence(short, *with_gallery, "--detector", "yunet")
    assert "leave it out" in sentence(short, *with_gallery, "--model", short)
    facedetect = ("--detector", "facedetect", "--model", short)
    assert "has a fixed size" in sentence(
        short, *with_gallery, *facedetect, "--detection-size", "320"
    )
    assert "go together" in sentence(
        short, *with_gallery, *facedetect, "--detector-precision", "int8"
    )
    assert "finds no faces" in sentence(short, *with_gallery, *facedetect)
    assert "for --detector centerface and facedetect" in sentence(
        short, *with_gallery, "--detector-precision", "fp16"
    )
    yunet = ("--detector", "yunet", "--model", real_data / "yunet_n_dynamic.onnx")
    assert "multiple of 32" in sentence(short, *with_gallery, *yunet, "--detection-size", "333")
    assert {path.name for path in tmp_path.iterdir()} == {"none", "text.mp4"}
