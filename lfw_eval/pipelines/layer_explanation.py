"""The smallest set of layers that explains the loss of an engine in INT8."""

from collections.abc import Callable, Iterable, Sequence

from tqdm import tqdm

from lfw_eval.results.layers import Explanation

_SMALLEST_LOSS = 1e-6
"""Of the mean cosine; rounding of float32 makes less."""


class _Trials:
    """What engines with some layers in floating point reach, each built once."""

    def __init__(
        self, cosine_without: Callable[[frozenset[str]], float], bar: "tqdm[None]"
    ) -> None:
        self._cosine_without = cosine_without
        self._bar = bar
        self.cosines: dict[frozenset[str], float] = {}

    def cosine(self, layers: Iterable[str]) -> float:
        left = frozenset(layers)
        if left not in self.cosines:
            self.cosines[left] = self._cosine_without(left)
            self._bar.update()
        return self.cosines[left]


def explain(
    groups: Sequence[Sequence[str]],
    cosine: float,
    share: float,
    cosine_without: Callable[[frozenset[str]], float],
) -> Explanation | None:
    """Find few layers that, left in floating point, give back a share of the lost cosine.

    First it bisects how many groups of the ranking are needed, then it leaves out again what is
    not, in halves, quarters and so on: delta debugging (Zeller and Hildebrandt 2002). Every set is
    measured on the engine itself.

    Args:
        groups: Layers that go together, such as those that read the same tensor; worst first. A
            layer counts where it comes first.
        cosine: Mean cosine with all layers in INT8.
        share: Of the lost cosine, above 0 and at most 1.
        cosine_without: Builds the engine with these layers in floating point, and returns its mean
            cosine.

    Returns:
        None where nothing is lost.
    """
    lost = 1 - cosine
    if lost < _SMALLEST_LOSS:
        return None
    wanted = cosine + share * lost
    with tqdm(desc="explain the loss", unit="engine", disable=None) as bar:
        trials = _Trials(cosine_without, bar)
        layers = _fewest_groups(groups, wanted, trials)
        if trials.cosine(layers) >= wanted:
            layers = _needed(layers, wanted, trials)
        reached = trials.cosine(layers)
    return Explanation(
        share=share,
        layers=tuple(layers),
        cosine=reached,
        given_back=(reached - cosine) / lost,
        engines=len(trials.cosines),
    )


def _fewest_groups(groups: Sequence[Sequence[str]], wanted: float, trials: _Trials) -> list[str]:
    """Return the layers of the first k groups, which reach the cosine while k - 1 miss it.

    Those of all groups, which need not reach it, where fewer do not.
    """
    missed, reached = 0, len(groups)
    while reached - missed > 1:
        middle = (missed + reached) // 2
        if trials.cosine(_layers(groups[:middle])) >= wanted:
            reached = middle
        else:
            missed = middle
    return _layers(groups[:reached])


def _needed(layers: list[str], wanted: float, trials: _Trials) -> list[str]:
    """Return the layers without those that are not needed, the least suspect tried first."""
    size = len(layers) // 2
    while size:
        start = len(layers)
        while start > 0:
            start = max(0, start - size)
            rest = layers[:start] + layers[start + size :]
            if rest and trials.cosine(rest) >= wanted:
                layers = rest
        size //= 2
    return layers


def _layers(groups: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(layer for group in groups for layer in group))
