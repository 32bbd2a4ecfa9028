"""A comparison tensor by tensor, as engines would give it."""

from evaluation_results import accuracy_result

from lfw_eval.metrics.verification.comparison import CosineSimilarity
from lfw_eval.results.layers import Explanation, FusedTensor, LayerComparison, TensorComparison

NAMES = ("input", "stem", "left", "right<b>", "joined", "embedding")


def layer_comparison() -> LayerComparison:
    """A network that branches once; most noise enters at "right<b>", which "up" reads."""
    run = accuracy_result(20).reference.engine

    def tensor(name: str, before: tuple[str, ...], sqnr: float | None, entered: float, **other):
        values = {
            "operator": "Relu",
            "step": 1.5 if before and sqnr else None,
            "cosine": 1 - entered,
            "minimum": 1 - 2 * entered,
            "threshold": 4.0,
            "largest": 10.0,
            "spread": 2.5,
            "layers": (f"reads {name}",),
        }
        return TensorComparison(
            name=name, before=before, sqnr=sqnr, entered=entered, **(values | other)
        )

    layers = ("reads input", "reads stem", "reads left", "up", "reads joined")
    return LayerComparison(
        data="ten people",
        model=accuracy_result(20).model,
        crops=32,
        batch_size=64,
        layers=layers,
        reference=run,
        candidate=run,
        calibration=None,
        cosine=CosineSimilarity(0.98, 32, 0.001, True, 0.95),
        undisturbed=1.0,
        tensors=(
            tensor("input", (), None, 0.0, operator="Input"),
            tensor("stem", ("input",), 35.0, 0.0003),
            tensor("left", ("stem",), 27.0, 0.0017),
            tensor("right<b>", ("stem",), 12.0, 0.06, layers=("up",), step=23.0),
            tensor("joined", ("left", "right<b>"), 13.0, 0.0, operator="Concat", step=-1.0),
            tensor("embedding", ("joined",), 14.0, 0.0, layers=(), threshold=None, step=-1.0),
        ),
        fused=(FusedTensor("stem_bn", "Conv", ("stem",)),),
        explanation=Explanation(0.5, ("up",), 0.992, 0.6, 7),
    )
