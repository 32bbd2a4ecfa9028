"""An MXNet checkpoint to ONNX."""

import sys
from pathlib import Path

import onnx

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.mxnet.call import Array, Call, SizeError, Tensor, UnsupportedError
from lfw_eval.checkpoints.mxnet.files import MxnetFiles, mxnet_files
from lfw_eval.checkpoints.mxnet.operators import OPERATORS
from lfw_eval.checkpoints.mxnet.params import read_params
from lfw_eval.checkpoints.mxnet.symbol import IMAGES, Node, Symbol, read_symbol
from lfw_eval.system.errors import UserError, first_line
from lfw_eval.system.printing import first_names, printable

# Few symbols say what size their images have. ArcFace's, SphereFace's, and then squares.
_SIZES = ((112, 112), (112, 96), *((side, side) for side in (96, 128, 144, 160, 192, 224, 256)))
_EXPORT = "export the network to ONNX, with mxnet.onnx.export_model for instance"


def convert_mxnet(path: Path) -> onnx.ModelProto:
    """Convert a network up to its embedding.

    Images have the size that the symbol states, or else the first of the usual ones that fits its
    fully connected layers: 112x112, then 112x96 (height x width), then other squares. Float16 parts
    become float32.

    Args:
        path: One of the two files; of several epochs beside a symbol, the last is taken.

    Returns:
        Model from `data`, float32 (n, 3, height, width), to float32 embeddings, normally `fc1`.

    Raises:
        UserError: A file is damaged, or the network has what is not converted.
    """
    files = mxnet_files(path)
    if files.other_epochs:
        print(
            f"{files.params.name} is the last of {files.other_epochs + 1} epochs; for another, "
            "name its .params file",
            file=sys.stderr,
        )
    symbol = read_symbol(files.symbol)
    embedding = symbol.embedding()
    if embedding is None:
        heads = first_names([symbol.nodes[head].name for head in symbol.heads])
        raise UserError(
            f"{files.symbol} does not say which output is the embedding: it has {heads} and no fc1",
            "save the part up to the embedding: network.get_internals()['NAME_output']",
        )
    parameters = read_params(files.params)
    reason = ""
    for size in symbol.image_sizes() or _SIZES:
        try:
            return _model(files, symbol, embedding, parameters, size)
        except SizeError as error:
            reason = reason or str(error)
    raise UserError(f"{files.symbol} takes images of none of the usual sizes: {reason}", _EXPORT)


def _model(
    files: MxnetFiles,
    symbol: Symbol,
    embedding: int,
    parameters: dict[str, Array],
    size: tuple[int, int],
) -> onnx.ModelProto:
    graph = GraphBuilder("mxnet")
    names = {node.name for node in symbol.nodes if node.is_variable}
    tensors: dict[int, Tensor] = {}
    for index in symbol.needed_for(embedding):
        node = symbol.nodes[index]
        if node.is_variable:
            tensors[index] = _variable(files, node, parameters, size)
            continue
        # Operators may share a name, and have that of a variable.
        output = node.name if node.name not in names else f"{node.name}_{index}"
        names.add(output)
        inputs = tuple(tensors[source] for source, _ in node.inputs)
        inputs += _unlisted_states(node, parameters)
        tensors[index] = _convert(files, node, Call(graph, output, node.attributes, inputs))
    result = tensors[embedding]
    shape: list[int | str] = ["batch", *result.shape[1:]]
    try:
        return graph.model({IMAGES: ["batch", 3, *size]}, {result.name: shape})
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UserError(
            f"{files.params} does not fit {files.symbol.name}: {first_line(error)}",
            "give the two files that were saved together",
        ) from error


def _convert(files: MxnetFiles, node: Node, call: Call) -> Tensor:
    name = f"node {printable(node.name)} ({printable(node.operator)})"
    if node.operator not in OPERATORS:
        raise UserError(f"unsupported: {files.symbol} has {name}", _EXPORT)
    if any(output for _, output in node.inputs):
        raise UserError(f"unsupported: {files.symbol}: {name} reads a second output", _EXPORT)
    try:
        return OPERATORS[node.operator](call)
    except UnsupportedError as error:
        raise UserError(f"unsupported: {files.symbol}: {name} {error}", _EXPORT) from error
    except SizeError as error:
        raise SizeError(f"{name} {error}") from error
    except (ArithmeticError, IndexError, ValueError) as error:
        raise UserError(f"{files.symbol}: {name} has damaged attributes", _EXPORT) from error


def _variable(
    files: MxnetFiles, node: Node, parameters: dict[str, Array], size: tuple[int, int]
) -> Tensor:
    if node.is_images:
        return Tensor(IMAGES, (1, 3, *size))
    if node.name not in parameters:
        raise UserError(
            f"{files.params} has no parameter {printable(node.name)}, which "
            f"{files.symbol.name} needs",
            "give the two files that were saved together",
        )
    values = parameters[node.name]
    return Tensor(node.name, values.shape, values)


def _unlisted_states(node: Node, parameters: dict[str, Array]) -> tuple[Tensor, ...]:
    """Return the moving mean and variance, which symbols before MXNet 0.9 do not list."""
    if "BatchNorm" not in node.operator or len(node.inputs) != 3:
        return ()
    names = [f"{node.name}_moving_{part}" for part in ("mean", "var")]
    return tuple(
        Tensor(name, parameters[name].shape, parameters[name])
        for name in names
        if name in parameters
    )
