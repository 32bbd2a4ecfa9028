"""What embeds without pyarrow, which does not come with the package alone."""

import sys

import pytest
from pictures import encoded, picture

from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.cli import main
from lfw_eval.cli.exit_codes import MISTAKE
from lfw_eval.system.errors import UserError


@pytest.fixture(autouse=True)
def no_pyarrow(monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)


def test_embed_refuses_at_once_and_writes_nothing(tmp_path, capsys):
    images = tmp_path / "in"
    images.mkdir()
    (images / "a.jpg").write_bytes(encoded(picture(0)))
    output = tmp_path / "out"
    assert main.run(["embed", str(images), "-o", str(output), "--precision", "fp32"]) == MISTAKE
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("lfw-eval: ")
    assert sentence.endswith("need pyarrow, which is not installed; pip install 'lfw-eval[ray]'")
    assert not output.exists()


def test_a_folder_is_not_begun(tmp_path):
    with pytest.raises(UserError, match="need pyarrow"):
        EmbeddingShards(tmp_path / "out").begin({"model": "m"})
    assert not (tmp_path / "out").exists()
