"""An ONNX file and the weights in files beside it."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.external_data_helper import ExternalDataInfo

from lfw_eval.system.errors import UserError, first_line

_SHOWN = 5  # inputs or outputs in a message
_MAX_BYTES = 2**31  # a whole network is one protobuf message, which cannot hold more


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read a network with all of its weights, and check it.

    Weights outside the file are only read from its own folder.

    Raises:
        UserError: The file is not a valid ONNX network; or weights outside it are missing, outside
            its folder, or too large.
    """
    try:
        # By default, onnx would derive the format from the file's name.
        model = onnx.load(path, format="protobuf", load_external_data=False)
        if not model.ByteSize():
            raise DecodeError("the file is empty")
        _weight_files(path, model)
        onnx.load_external_data_for_model(model, str(path.parent))
        if not all(info.type.tensor_type.HasField("shape") for info in model.graph.output):
            # The checker wants one of every output.
            model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        # The checker takes weights of another size than their shape's, and names that are no text.
        for tensor in _tensors(model):
            if tensor.data_type != onnx.TensorProto.UNDEFINED:  # an attribute without one
                numpy_helper.to_array(tensor)
        for node in model.graph.node:
            # Protocol buffers hand out what is not UTF-8 as bytes.
            if not all(isinstance(n, str) for n in (node.name, *node.input, *node.output)):
                raise ValueError("the name of a node or tensor is not UTF-8")
    except DecodeError as error:
        raise UserError(
            f"{path} is not a valid ONNX network: it is truncated, or in another format",
            "fetch or export it again",
        ) from error
    except (
        OSError,
        ValueError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise UserError(f"{path} is not a valid ONNX network: {first_line(error)}") from error
    return model


def onnx_files(path: Path) -> dict[str, Path]:
    """Return an ONNX file and those beside it that hold its weights, by its names for them.

    Raises:
        UserError: As `read_onnx`, for weights outside the file.
    """
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
        return {path.name: path} | _weight_files(path, model)
    except (DecodeError, ValueError):
        return {path.name: path}  # not a network, which its reader explains better


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return a network's inputs, without those that only name a default, its initializers."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [info for info in model.graph.input if info.name not in constants]


def shape_of(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of an input or output, 0 if dynamic."""
    return tuple(dimension.dim_value for dimension in info.type.tensor_type.shape.dim)


def make_batch_dynamic(info: onnx.ValueInfoProto) -> None:
    """Let an input or output have any batch size."""
    info.type.tensor_type.shape.dim[0].dim_param = "batch"


def describe_shapes(infos: Iterable[onnx.ValueInfoProto]) -> str:
    """Return names and shapes of the first few, for messages."""
    shown = [f"{info.name} {list(shape_of(info))}" for info in infos]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _weight_files(path: Path, model: onnx.ModelProto) -> dict[str, Path]:
    """Return the files beside a network that hold its weights, by its names for them."""
    folder = path.parent.resolve()
    files: dict[str, Path] = {}
    total = 0
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        info = ExternalDataInfo(tensor)
        file = folder / info.location
        inside = ".." not in PurePosixPath(info.location).parts
        if not (info.location and inside and file.resolve().is_relative_to(folder)):
            raise UserError(
                f"{path} has weights in {info.location!r}, which is not in its folder",
                "copy the file into the network's folder and name it without a path",
            )
        if not file.is_file():
            raise UserError(
                f"{file}, with weights of {path.name}, does not exist",
                "copy it to the network's folder",
            )
        # Without a length, everything after the offset is read; tensors may share bytes.
        total += file.stat().st_size - (info.offset or 0) if info.length is None else info.length
        files[info.location] = file
    if total > _MAX_BYTES:
        raise UserError(
            f"{path} has {total / 2**30:.1f} GiB of weights in other files, but a network may have "
            f"at most {_MAX_BYTES // 2**30}",
            "export a smaller network",
        )
    return files


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(graph)
