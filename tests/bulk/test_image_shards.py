import pytest
from archives import make_tar

from lfw_eval.bulk.image_shards import list_shards, read_shard

FILES = {"./set/a.jpg": b"a", "./set/b.WEBP": b"b"}
HIDDEN = {"./set/._a.jpg": b"fork", "./__MACOSX/set/a.jpg": b"fork", "./set/.old/a.jpg": b"old"}


@pytest.mark.parametrize("archived", [False, True])
def test_hidden_files_are_no_images(tmp_path, archived):
    if archived:
        make_tar(tmp_path / "set.tar", HIDDEN | FILES)
    else:
        for name, content in (HIDDEN | FILES).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    shards = list_shards(tmp_path, 1)
    assert [content for item in shards.items for _, content in read_shard(item)] == [b"a", b"b"]
