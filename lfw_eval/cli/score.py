"""The verb score: pairs of embedded images, without folds, of any number."""

from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.bulk.pair_blocks import read_pair_blocks
from lfw_eval.bulk.score import score, unit_embeddings
from lfw_eval.cli.options import Output
from lfw_eval.report.tables.pooled import pooled_table
from lfw_eval.results.file import save_result
from lfw_eval.results.score import ScoreResult
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, require_writable


def score_command(
    embeddings: Annotated[Path, typer.Argument(help="Folder that lfw-eval embed wrote.")],
    pairs: Annotated[
        Path,
        typer.Argument(
            help="CSV of name,name,same, or Parquet with the columns left, right and same."
        ),
    ],
    output: Output = None,
) -> None:
    """Score any number of pairs of embedded images, without folds.

    AUC, EER and VAL at FAR 1e-6 to 0.1 of all pairs together.
    """
    if not pairs.is_file():
        raise UserError(f"{pairs} is not a file", "give a CSV or Parquet file of pairs")
    path = output or Path("results") / f"{embeddings.name}-{pairs.stem}-score.json"
    if path.suffix != ".json":
        raise UserError(f"--output {path} must end in .json")
    require_writable(path)
    shards = EmbeddingShards(embeddings)
    names, unit = unit_embeddings(shards)
    result = ScoreResult(
        embeddings=shards.about()["of"],
        images=len(names),
        pairs_sha256=file_sha256(pairs),
        verification=score(unit, read_pair_blocks(pairs, names)),
    )
    save_result(result, path)
    print(pooled_table(result.verification))
    print(f"result      {path}")
