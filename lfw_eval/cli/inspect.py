"""The verb inspect: what a checkpoint is, and how it wants its crops normalised."""

from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.checkpoints.formats import CHECKPOINTS
from lfw_eval.cli.errors import as_options
from lfw_eval.cli.options import AlignmentOptions, DrawPairs, PairList
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.datasets.lfw import local_lfw
from lfw_eval.pipelines.inspection import TRIAL_PAIRS, inspect
from lfw_eval.report.tables.inspection import inspection_table
from lfw_eval.sources import NoSourceError


def inspect_command(
    checkpoint: Annotated[
        str,
        typer.Argument(help=f"{CHECKPOINTS}, or a name in checkpoints/manifest.toml."),
    ],
    alignment: AlignmentOptions,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set whose pairs normalisations are tried on, as evaluate takes it. "
            "Default: LFW if it is on this machine, or else the celebrities.",
        ),
    ] = None,
    pairs: PairList = None,
    draw_pairs: DrawPairs = None,
    trial_pairs: Annotated[
        int,
        typer.Option(min=0, help="Genuine pairs to try normalisations on; 0: do not try."),
    ] = TRIAL_PAIRS,
) -> None:
    """Show what a network is, and which normalisation it wants.

    Inputs, embedding, what conversion changes, layers that can be INT8, or why it is refused.
    Normalisations, in RGB and BGR, are tried on a few genuine and impostor pairs.

    Exit codes: 0 success, also for a network that is refused; 2 the file cannot be read.
    """
    faces = _open(dataset, pairs, draw_pairs) if trial_pairs else None
    inspection = inspect(checkpoint, faces, alignment.placed, trial_pairs)
    print(as_options(inspection_table(inspection), {}))


def _open(dataset: str | None, pairs: Path | None, draw_pairs: int | None) -> Dataset | None:
    """Return the pairs of faces that are at hand; None where there are none."""
    if dataset or pairs or draw_pairs:
        return open_dataset(dataset, pairs, draw_pairs=draw_pairs)
    try:
        return open_dataset(local_lfw() or "celebrities")
    except NoSourceError:
        return None
