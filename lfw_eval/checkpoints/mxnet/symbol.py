"""MXNet's symbols, `NAME-symbol.json`: the nodes of a network and its heads."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfw_eval.system.errors import UserError, unreadable
from lfw_eval.system.printing import printable

VARIABLE = "null"
"""The operator of what is put in: the images, labels and parameters."""
IMAGES = "data"

_MAX_BYTES = 8 * 2**20  # the largest of insightface's has 0.3 MB
_LOSSES = frozenset(
    {
        "LinearRegressionOutput",
        "LogisticRegressionOutput",
        "MakeLoss",
        "SVMOutput",
        "Softmax",
        "SoftmaxActivation",
        "SoftmaxOutput",
        "make_loss",
        "softmax",
    }
)
_MAX_SIDE = 1024
# Of insightface's networks, which are cut there by insightface itself.
_EMBEDDING = "fc1"


@dataclass(frozen=True)
class Attributes:
    """The attributes of a node, which MXNet writes as Python's literals in strings."""

    texts: dict[str, str]

    def text(self, key: str, default: str) -> str:
        """Return an attribute as it stands."""
        return self.texts.get(key, default)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a truth value."""
        return self.text(key, str(default)).lower() in ("true", "1")

    def number(self, key: str, default: float) -> float:
        """Return a number."""
        return float(self.text(key, str(default)))

    def integers(self, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return a tuple, such as of "(3, 3)", or "(3L, 3L)" of Python 2."""
        return tuple(map(int, re.findall(r"-?\d+", self.text(key, str(default)))))


@dataclass(frozen=True)
class Node:
    """An operator or a variable; its inputs are nodes before it.

    Attributes:
        inputs: Index of a node, and of its output.
    """

    operator: str
    name: str
    attributes: Attributes
    inputs: tuple[tuple[int, int], ...]

    @property
    def is_variable(self) -> bool:
        """Whether it is put in, not computed."""
        return self.operator == VARIABLE

    @property
    def is_images(self) -> bool:
        """Whether it is the input for images."""
        return self.is_variable and self.name == IMAGES


@dataclass(frozen=True)
class Symbol:
    """A network's nodes in order of computation, and the indices of those that it returns."""

    nodes: tuple[Node, ...]
    heads: tuple[int, ...]

    def needed_for(self, index: int) -> Iterator[int]:
        """Return the indices of a node and of all that it is computed from, in order."""
        needed = {index}
        for place in range(index, -1, -1):
            if place in needed:
                needed.update(source for source, _ in self.nodes[place].inputs)
        return iter(sorted(needed))

    def image_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return height and width of its images in a tuple, empty if it does not state them."""
        stated = [node.attributes.integers("__shape__") for node in self.nodes if node.is_images]
        sizes = ((shape[2], shape[3]) for shape in stated if len(shape) == 4)
        return tuple(size for size in sizes if min(size) > 0 and max(size) <= _MAX_SIDE)

    def embedding(self) -> int | None:
        """Return the index of the node that gives the embedding, or None if it is unclear.

        It is the only head that is computed from the images and is no loss. Networks saved while
        they are trained have other heads; insightface's call their embedding fc1.
        """
        from_images: set[int] = set()
        for index, node in enumerate(self.nodes):
            if node.is_images or any(source in from_images for source, _ in node.inputs):
                from_images.add(index)
        heads = [
            head
            for head in self.heads
            if head in from_images and self.nodes[head].operator not in _LOSSES
        ]
        if len(heads) == 1:
            return heads[0]
        named = [i for i, node in enumerate(self.nodes) if node.name == _EMBEDDING]
        return named[0] if len(named) == 1 else None


def read_symbol(path: Path) -> Symbol:
    """Read a network's nodes, in the layouts that MXNet has had since 0.8.

    Raises:
        UserError: The file is not such JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES // 2**20} MiB")
        return _symbol(json.loads(content))
    except OSError as error:
        raise unreadable(path, error) from error
    except json.JSONDecodeError as error:
        raise _unusable(path, f"it is not JSON ({error})") from error
    except ValueError as error:
        raise _unusable(path, str(error)) from error
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError) as error:
        raise _unusable(path, "it has no list of nodes and heads as MXNet writes them") from error


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a usable MXNet symbol: {reason}",
        "fetch it again, or save it with mxnet.model.save_checkpoint",
    )


def _symbol(content: Any) -> Symbol:
    nodes: list[Node] = []
    for item in content["nodes"]:
        name, operator = item["name"], item["op"]
        if not isinstance(name, str) or not isinstance(operator, str):
            raise TypeError
        inputs = [(source, output) for source, output, *_ in item["inputs"]]
        if not all(type(n) is int and n >= 0 for pair in inputs for n in pair) or any(
            source >= len(nodes) for source, _ in inputs
        ):
            raise ValueError(f"node {printable(name)} is computed from one that is not before it")
        # Before 0.9 the operator's own were "param"; before 1.0 all others were "attr".
        texts: dict[str, str] = {}
        for key in ("attr", "param", "attrs"):
            texts |= {str(k): str(v) for k, v in item.get(key, {}).items()}
        nodes.append(Node(operator, name, Attributes(texts), tuple(inputs)))
    heads = tuple(head for head, *_ in content["heads"])
    if not heads or not all(type(head) is int and 0 <= head < len(nodes) for head in heads):
        raise ValueError("a head is not one of its nodes")
    return Symbol(tuple(nodes), heads)
