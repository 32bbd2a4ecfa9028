"""Pairs of embedded images, scored from Parquet shards."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.bulk.pair_blocks import read_pair_blocks
from lfw_eval.bulk.score import score, unit_embeddings
from lfw_eval.cli.app import app
from lfw_eval.metrics.verification.pooled import evaluate_pooled, pooled_distances
from lfw_eval.system.errors import UserError

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is missing: pip install 'lfw-eval[ray]'")
parquet = pytest.importorskip("pyarrow.parquet")

PEOPLE, EACH = 40, 5


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Embeddings of 40 people, five images each, in three shards; and all pairs of them."""
    rng = np.random.default_rng(11)
    people = np.repeat(np.arange(PEOPLE), EACH)
    values = rng.normal(size=(PEOPLE, 16))[people] + rng.normal(size=(PEOPLE * EACH, 16)) * 0.7
    names = np.array([f"a/{person}_{row}.jpg" for row, person in enumerate(people)])
    shards = EmbeddingShards(tmp_path_factory.mktemp("e") / "out")
    shards.begin({"model": "m"})
    for number, rows in enumerate(np.array_split(np.arange(len(names)), 3)):
        shard = {
            "names": names[rows].tolist(),
            "embeddings": values[rows].astype(np.float32),
            "boxes": np.zeros((len(rows), 4)),
            "detected": np.ones(len(rows), bool),
            "unreadable": [],
            "stamp": "",
            "content": "",
        }
        shards.write(number, shard)
    shards.finish()
    left, right = np.triu_indices(len(names), 1)
    return shards, names, left, right, people[left] == people[right]


def write(path, names, left, right, same, header=False):
    if path.suffix == ".parquet":
        table = pyarrow.table({"left": names[left], "right": names[right], "same": same})
        parquet.write_table(table, path, row_group_size=1000)
    else:
        lines = [
            f"{names[a]},{names[b]},{int(s)}" for a, b, s in zip(left, right, same, strict=True)
        ]
        path.write_text("\n".join(["left,right,same"] * header + lines) + "\n")
    return path


@pytest.mark.parametrize(("file", "header"), [("p.csv", 0), ("p.csv", 1), ("p.parquet", 0)])
def test_metrics_are_those_of_arrays(embedded, tmp_path, file, header):
    shards, names, left, right, same = embedded
    pairs = write(tmp_path / file, names, left, right, same, header)
    read, unit = unit_embeddings(shards)
    assert read == names.tolist()
    pooled = score(unit, read_pair_blocks(pairs, read))
    expected = evaluate_pooled(pooled_distances(unit, left, right), same)
    assert (pooled.genuine, pooled.impostors) == (400, 19500)
    assert pooled.auc == expected.auc
    assert pooled.eer == expected.eer
    assert pooled.val == expected.val
    assert pooled.auc_error == 0


@pytest.mark.parametrize(
    "header",
    ["", "name,name,same\n", "\ufeffleft , right , label\n", "\nLEFT,RIGHT,SAME\n", '"a\nb",c,d\n'],
)
@pytest.mark.parametrize("labels", [("1", "0"), ("yes", "no"), (" True", "FALSE "), ("Yes", "0")])
def test_headers_and_labels_of_evaluate(embedded, tmp_path, header, labels):
    names = embedded[1]
    rows = [f"{names[0]},{names[1]},{labels[0]}", f"{names[0]},{names[5]},{labels[1]}"]
    (tmp_path / "p.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    (block,) = read_pair_blocks(tmp_path / "p.csv", names.tolist())
    assert block.left.tolist() == [0, 0]
    assert block.right.tolist() == [1, 5]
    assert block.genuine.tolist() == [True, False]


def test_folds_are_ignored(embedded, tmp_path):
    names = embedded[1]
    rows = ["first,second,same,fold", f"{names[0]},{names[1]},1,3", f"{names[0]},{names[5]},no,4"]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    (block,) = read_pair_blocks(tmp_path / "p.csv", names.tolist())
    assert block.genuine.tolist() == [True, False]


@pytest.mark.parametrize("text", [pyarrow.string(), pyarrow.large_string()])
def test_labels_in_words_in_parquet(embedded, tmp_path, text):
    names = embedded[1]
    same = pyarrow.array(["yes", "False"], text)
    table = pyarrow.table({"left": names[:2], "right": names[2:4], "same": same})
    parquet.write_table(table, tmp_path / "p.parquet")
    (block,) = read_pair_blocks(tmp_path / "p.parquet", names.tolist())
    assert block.genuine.tolist() == [True, False]


def test_too_many_pairs_are_counted(embedded, tmp_path):
    """The histogram takes over in the middle; what it says of its error holds."""
    shards, names, left, right, same = embedded
    pairs = write(tmp_path / "p.parquet", names, left, right, same)
    read, unit = unit_embeddings(shards)
    exact = score(unit, read_pair_blocks(pairs, read))
    counted = score(unit, read_pair_blocks(pairs, read), exact=5000)
    assert counted.auc_error > 0
    assert abs(counted.auc.value - exact.auc.value) <= counted.auc_error
    assert abs(counted.eer.value - exact.eer.value) <= counted.eer_error
    for rate, true in zip(counted.val, exact.val, strict=True):
        assert rate.value <= true.value <= rate.value + rate.error


@pytest.mark.parametrize("label", [-1, 2, 0.5])
def test_labels_that_are_neither(embedded, tmp_path, label):
    names = embedded[1]
    columns = {"left": names[:2], "right": names[2:4], "same": [1, label]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    with pytest.raises(
        UserError, match=rf"p\.parquet, pair 2: expected 1, true or yes, or 0, .*, not {label}"
    ):
        list(read_pair_blocks(tmp_path / "p.parquet", names.tolist()))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a/0_0.jpg,nobody.jpg,1\n", "pair 1: there is no embedding of 'nobody.jpg'"),
        ("a/0_0.jpg,a/0_1.jpg,maybe\n", r"p\.csv, pair 1: expected 1, true or yes.* not 'maybe'"),
        ("x,y,same\na/0_0.jpg,a/0_1.jpg,1\n0_0,0_1,\n", "pair 2: there is no embedding of '0_0'"),
        ("0_0,0_1,maybe\n", "pair 1: expected .*, not 'maybe'"),
        ("a/0_0.jpg,a/0_1.jpg,1\na/0_0.jpg,a/0_2.jpg,\n", "pair 2: expected .*, not ''"),
        ("a/0_0.jpg a/0_1.jpg 1\n", "cannot be read as pairs"),
        ("a/0_0.jpg,a/0_1.jpg,1\n", "there are 1 genuine pairs"),
        ("", "cannot be read as pairs"),
    ],
)
def test_pairs_that_are_none(embedded, tmp_path, content, complaint):
    shards, *_ = embedded
    path = tmp_path / "p.csv"
    path.write_text(content)
    names, unit = unit_embeddings(shards)
    with pytest.raises(UserError, match=complaint):
        score(unit, read_pair_blocks(path, names))


def test_the_command(embedded, tmp_path):
    shards, names, left, right, same = embedded
    pairs = write(tmp_path / "p.csv", names, left, right, same)
    output = tmp_path / "r.json"
    arguments = ["score", str(shards.folder), str(pairs), "--output", str(output)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "400 genuine and 19,500 impostor pairs" in done.output
    unresolved = "unresolved  FAR 1e-06 needs about 3,000,000 impostor pairs; there are 19,500"
    assert f"VAL at FAR 1e-06        {unresolved}" in done.output
    assert json.loads(output.read_text())["kind"] == "score"


def test_embeddings_that_are_not_complete(embedded, tmp_path):
    begun = EmbeddingShards(tmp_path / "begun")
    begun.begin({"model": "m"})
    with pytest.raises(UserError, match="is not complete; rerun the command"):
        unit_embeddings(begun)
    with pytest.raises(UserError, match="holds no embeddings"):
        unit_embeddings(EmbeddingShards(tmp_path))


def test_names_may_leave_out_folder_and_suffix(embedded, tmp_path):
    shards, names, left, right, same = embedded
    plain = np.array([name.removeprefix("a/").removesuffix(".jpg") for name in names])
    read, unit = unit_embeddings(shards)
    pooled, expected = (
        score(unit, read_pair_blocks(write(tmp_path / "p.csv", written, left, right, same), read))
        for written in (plain, names)
    )
    assert pooled.val == expected.val


def cut_off(path):
    path.write_bytes(path.read_bytes()[:500])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap_rows(path):
    table = parquet.read_table(path)
    swapped = table.take([1, 0, *range(2, len(table))])
    embeddings = table.set_column(1, "embedding", swapped["embedding"])
    parquet.write_table(embeddings, path, compression="NONE")


def without_hash(path):
    table = parquet.read_table(path)
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"sha256"}
    parquet.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_off, "is damaged (it cannot be read)"),
        (flip_a_bit, "is damaged (it is not what was written)"),
        (swap_rows, "is damaged (it is not what was written)"),
        (without_hash, "is of an earlier version (it has no hash)"),
    ],
)
def test_a_shard_that_is_damaged(embedded, tmp_path, damage, reason, capfd):
    """It is refused by score, and done again by the next run of embed."""
    shards = EmbeddingShards(tmp_path / "out")
    shutil.copytree(embedded[0].folder, shards.folder)
    damage(shards.parts()[1])
    with pytest.raises(UserError) as refused:
        unit_embeddings(shards)
    assert str(refused.value).startswith(f"{shards.folder / 'part-000001.parquet'} {reason}; rerun")
    assert shards.begin({"model": "m"}).keys() == {0, 2}
    assert f"part-000001.parquet {reason}; making it again" in capfd.readouterr().err


def test_a_shard_that_is_gone(embedded, tmp_path):
    shards = EmbeddingShards(tmp_path / "out")
    shutil.copytree(embedded[0].folder, shards.folder)
    shards.parts()[1].unlink()
    with pytest.raises(UserError, match=r"embeddings, not the 200 written; rerun"):
        unit_embeddings(shards)
