from pathlib import Path

import pytest

from lfw_eval.sources import Entry, checkpoints, datasets, iter_members
from lfw_eval.sources.checksum import measure
from lfw_eval.sources.manifest import read_manifest
from lfw_eval.system.errors import UserError

GOOD = 'filename = "a"\nlicence = "MIT"\nurls = ["https://host/a"]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "manifest.toml"
    path.write_text(text)
    return path


def test_the_manifests_name_what_the_project_needs() -> None:
    assert set(datasets().entries) == {"lfw-funneled", "lfw", "lfw-pairs", "celebrities"}
    assert checkpoints().entry("facenet-keras").normalisation == "per-image"
    assert checkpoints().entry("20180402-114759-vggface2").embedding == 512
    for entry in (*datasets().entries.values(), *checkpoints().entries.values()):
        assert entry.sha256 or entry.kind == "facenet-pytorch"
        assert entry.licence


def test_both_collections_share_one_distribution() -> None:
    photographs = datasets().entry("celebrities").package
    weights = checkpoints().entry("facenet-keras").package
    assert photographs is not None and weights is not None
    assert (photographs.distribution, photographs.sha256) == (weights.distribution, weights.sha256)
    assert datasets().distributions == checkpoints().distributions


def test_the_pairs_are_those_of_the_manifest(real_data: Path) -> None:
    entry = datasets().entry("lfw-pairs")
    assert measure(real_data / "pairs.txt").difference(entry.size, entry.sha256) is None


def test_real_lfw_is_read_in_one_pass(real_data: Path) -> None:
    names = {name for name, _ in iter_members(real_data / "lfw.tgz", [".jpg"])}
    assert len(names) == 7701
    assert "lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg" in names


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'facenet-keras'"):
        checkpoints().entry("facenet-kera")


def test_variables_move_the_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "d"))
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", "~/c")
    assert datasets().root == tmp_path / "d"
    assert checkpoints().root == Path.home() / "c"
    assert datasets().distributions == Path.home() / "c" / "distributions"


def test_a_minimal_entry(tmp_path: Path) -> None:
    entries = read_manifest(write(tmp_path, f"[x]\n{GOOD}"))
    assert entries == {"x": Entry("x", "a", "MIT", urls=("https://host/a",))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x", "cannot be read"),
        ("x = 1", r"\[x\] must be a table"),
        (f"[x]\n{GOOD}sice = 1", "unknown key 'sice'"),
        ('[x]\nfilename = "a"', "lacks the key 'licence'"),
        ('[x]\nfilename = "a"\nlicence = "MIT"', "urls, package or both"),
        (f'[x]\n{GOOD}sha256 = "ABC"', "64 lower-case"),
        (f'[x]\n{GOOD}package = {{project = "p"}}', "package lacks the key 'version'"),
        ('[x]\nfilename = "../a"\nlicence = ""\nurls = ["u"]', "plain file name"),
        ('[x]\nfilename = ".."\nlicence = ""\nurls = ["u"]', "plain file name"),
    ],
)
def test_a_malformed_manifest_names_entry_and_fault(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=said) as refused:
        read_manifest(path)
    assert str(path) in str(refused.value)
