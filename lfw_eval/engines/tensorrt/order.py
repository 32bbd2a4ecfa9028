"""The order to TensorRT for a request: the network's file, scales and options."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from calibration.cache import CalibrationCache, calibration_cache
from calibration.histogram import FIRST_BATCH
from calibration.placement import Placement, layer_name
from calibration.quantize import QdqTypes, quantized_layers, require_weights
from calibration.tensorrt_calibrator import Algorithm
from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.network import network
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.tensorrt.build_order import Order
from lfw_eval.engines.tensorrt.capabilities import Capabilities, Quantization
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

_PRODUCTS = ("Conv", "Gemm", "MatMul")

RECIPE = 3
"""Of builds: raise it when the same request would give another order, or the order another plan."""


def options_of(request: BuildRequest, quantization: Quantization | None) -> dict[str, object]:
    """Return what the engine's key depends on, besides what every engine's does."""
    options = request.options_as(TensorRTOptions)
    return {
        "batches": request.batches,
        "quantization": quantization,
        "cache": file_sha256(options.calibration_cache) if options.calibration_cache else None,
        "tf32": options.tf32,
        "workspace": options.workspace,
        "level": options.optimization_level,
        "strict": request.strict_precision,
        "recipe": RECIPE,
        **({"withheld": sorted(withheld)} if (withheld := _withheld(request)) else {}),
    }


def make_order(
    request: BuildRequest,
    quantization: Quantization | None,
    capabilities: Capabilities,
    store: EngineStore,
    device: str,
    folder: Path,
) -> Order:
    """Write the files that a build needs into `folder`, and return the order.

    Raises:
        UserError: The calibration cache is of another version or network, or there are no scales.
    """
    explicit = quantization == "qdq"
    model = network(
        request,
        QdqTypes(unsigned=False, float_weights=capabilities.float_weights),
        quantized=explicit,
        half_precision=capabilities.strongly_typed and request.precision != "fp32",
        layer_normalisation=capabilities.layer_normalisation,
    )
    for node in model.graph.node:
        # TensorRT would make names up, by which its layers could not be recognised.
        node.name = layer_name(node)
    int8_layers: tuple[str, ...] = ()
    if quantization and not explicit:
        require_weights(model)
        if request.strict_precision:
            layers = quantized_layers(model)
            int8_layers = tuple(name for name in layers if name not in request.float_layers)
    path = folder / "network.onnx"
    onnx.save(model, path)
    crops = None
    if quantization == "live":
        if request.calibration_crops is None:
            raise UserError(
                "`quantization` live needs crops to calibrate on",
                "leave it out to use a scale table",
            )
        crops = folder / "crops.npy"
        np.save(crops, request.calibration_crops())
    cache = _cache(request, capabilities) if quantization == "cache" else None
    options = request.options_as(TensorRTOptions)
    name = f"timing-{capabilities.title}-{device}.cache".replace(" ", "-")
    return Order(
        title=" ".join(filter(None, (request.title, request.precision))),
        network=str(path),
        plan=str(folder / "plan"),
        log=str(store.file(".log")),
        precision=request.precision,
        quantization=quantization,
        image=_image(request),
        int8_layers=int8_layers,
        batches=request.batches,
        algorithm=_algorithm(request, cache),
        cache=cache.text if cache else None,
        crops=str(crops) if crops else None,
        calibration_batch=(request.scales and request.scales.first_batch) or FIRST_BATCH,
        written_cache=str(store.file(".cache")) if crops else None,
        timing_cache=str(store.folder / name),
        tf32=options.tf32,
        workspace=options.workspace,
        level=options.optimization_level,
    )


def _image(request: BuildRequest) -> str:
    """Return the tensor of normalised images: what the file's input becomes, or what it has."""
    graph = onnx.load(request.model, load_external_data=False).graph
    if request.normalisation:
        return str(graph.input[0].name)
    return str(next(node.input[0] for node in graph.node if node.op_type in _PRODUCTS))


def _cache(request: BuildRequest, capabilities: Capabilities) -> CalibrationCache:
    """Return the user's cache, or one made from the scale table, without what is withheld."""
    if path := request.options_as(TensorRTOptions).calibration_cache:
        cache = CalibrationCache.load(path)
        if cache.version != capabilities.release:
            raise UserError(
                f"{path} is a cache of TensorRT {cache.version}, which {capabilities.title} would "
                "ignore",
                f"make one of the same scales with lfw-eval cache convert {path} "
                f"NEW.cache for {capabilities.release}",
            )
    elif request.scales is None:
        raise UserError("`precision` int8 needs a scale table", "run lfw-eval calibrate first")
    else:
        text = calibration_cache(request.scales, capabilities.release)
        cache = CalibrationCache.parse(text.encode(), "the scale table")
    withheld = _withheld(request)
    return replace(cache, entries=tuple(e for e in cache.entries if e.name not in withheld))


def _withheld(request: BuildRequest) -> set[str]:
    """Return the tensors whose scales would put float layers of the request into INT8."""
    cached = cached_scales(request)
    table = cached.table if cached else request.scales
    if not request.float_layers or table is None:
        return set()
    served = Placement(onnx.load(request.model, load_external_data=False)).served()
    return {
        name
        for name, layers in served.items()
        if name in table.amax and set(layers) <= set(request.float_layers)
    }


def _algorithm(request: BuildRequest, cache: CalibrationCache | None) -> Algorithm:
    if cache:
        return "minmax" if cache.algorithm == "MinMaxCalibration" else "entropy"
    return "minmax" if request.scales and request.scales.method == "minmax" else "entropy"
