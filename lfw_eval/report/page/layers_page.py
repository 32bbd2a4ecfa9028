"""The page of a comparison tensor by tensor: the network's path, coloured by what INT8 loses."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from lfw_eval.report.arithmetic import share_and_layers
from lfw_eval.report.page.environment import page_environment, rendered
from lfw_eval.report.page.layer_path import lay_out
from lfw_eval.report.page.palette import NOISE_DARK, NOISE_LIGHT
from lfw_eval.report.tables.layers import COLUMNS, disturbance, explained
from lfw_eval.report.tables.side_by_side import calibrated_on
from lfw_eval.results.layers import LayerComparison, TensorComparison

# dB, between the classes: from the least noise to the most.
_CLASSES = (40, 30, 25, 20, 15)
# dB; what adds less than a quarter to the noise before it passes that through.
_STEP = 1.0
# Of the profile; every tensor is a bar as high as its noise.
_BEST, _WORST = 60.0, 0.0


@dataclass(frozen=True)
class Row:
    """A tensor as the page shows it.

    Attributes:
        number: In the order of the network, from 1.
        rank: By how much noise enters, from 1.
        operators: Of what is computed at once with it, in order.
        noise: Its class, 0 for the least to 5.
        height: Share of the profile's height, from 0 to 1.
        enters: Whether noise enters here rather than passes through.
        explains: Whether it is for this tensor that a layer explains the loss.
    """

    tensor: TensorComparison
    number: int
    rank: int
    operators: str
    noise: int
    height: float
    enters: bool
    explains: bool

    @property
    def clipped(self) -> float | None:
        """The largest value over the threshold."""
        threshold = self.tensor.threshold
        return self.tensor.largest / threshold if threshold else None


def render_layers(result: LayerComparison, command: Sequence[str]) -> str:
    """Return the page; it is complete, fetches nothing and needs no script.

    Args:
        command: The command that renders it, to be shown.
    """
    rows = _rows(result)
    names = [tensor.name for tensor in result.tensors]
    path = lay_out(names, {tensor.name: tensor.before for tensor in result.tensors})
    limits = [f"below {_CLASSES[-1]} dB", *(f"{low} dB" for low in reversed(_CLASSES))]
    return rendered(
        page_environment().get_template("layers.html"),
        f"Where {result.model.name} loses accuracy in INT8",
        command,
        result=result,
        rows=rows,
        ranked=sorted(rows, key=lambda row: row.rank),
        path=path,
        limits=limits[::-1],
        largest=max((tensor.entered for tensor in result.tensors), default=0) or 1,
        noise_light=NOISE_LIGHT,
        noise_dark=NOISE_DARK,
        explained=explained,
        disturbance=disturbance,
        share_and_layers=share_and_layers,
        calibrated_on=calibrated_on,
        columns=COLUMNS,
    )


def _rows(result: LayerComparison) -> list[Row]:
    ranks = {tensor.name: rank for rank, tensor in enumerate(result.ranked, 1)}
    fused: dict[str, list[str]] = {}
    for gone in result.fused:
        # What goes into several is no part of any of them.
        if len(gone.into) == 1:
            fused.setdefault(gone.into[0], []).append(gone.operator)
    explaining = result.explaining_tensors
    return [
        Row(
            tensor=tensor,
            number=number,
            rank=ranks[tensor.name],
            operators=" + ".join(
                operator
                for operator in (*fused.get(tensor.name, ()), tensor.operator)
                if operator != "Input"
            )
            or "input",
            noise=_noise(tensor.sqnr),
            height=_height(tensor.sqnr),
            enters=tensor.entered > 0 and (tensor.step is None or tensor.step >= _STEP),
            explains=tensor.name in explaining,
        )
        for number, tensor in enumerate(result.tensors, 1)
    ]


def _noise(sqnr: float | None) -> int:
    if sqnr is None:
        return 0
    return len(_CLASSES) - bisect_right(_CLASSES[::-1], sqnr)


def _height(sqnr: float | None) -> float:
    if sqnr is None:
        return 0.0
    return min(max((_BEST - sqnr) / (_BEST - _WORST), 0.0), 1.0)
