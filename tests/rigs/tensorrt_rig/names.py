"""The names of TensorRT's that a Python file uses."""

import ast
from collections.abc import Iterator
from pathlib import Path

# What our variables, attributes and calls that hold an object of TensorRT's are called.
_CLASSES = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "layer": "ILayer",
    "tensor": "ITensor",
    "get_output": "ITensor",
    "parser": "OnnxParser",
    "get_error": "ParserError",
    "profile": "IOptimizationProfile",
    "timings": "ITimingCache",
    "get_timing_cache": "ITimingCache",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
}


def used_names(path: Path) -> set[str]:
    """Return them with their place in TensorRT's module, such as "BuilderFlag.FP16"."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = dict(_aliases(tree))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if chain := _chain(node, aliases):
                names.add(chain)
            elif owner := _CLASSES.get(_identifier(node.value)):
                names.add(f"{owner}.{node.attr}")
    return names


def _chain(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """The path of an attribute of the module, or of a variable that holds one."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if isinstance(node.value, ast.Name) and node.value.id == "trt":
        return node.attr
    before = _chain(node.value, aliases)
    return f"{before}.{node.attr}" if before else None


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Variables such as `flags` of `flags = trt.NetworkDefinitionCreationFlag`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            chain = _chain(node.value, {})
            if isinstance(target, ast.Name) and chain:
                yield target.id, chain


def _identifier(node: ast.expr) -> str:
    """What a value is called: `context` of `context`, `self._context` and `context()`."""
    if isinstance(node, ast.Call):
        return _identifier(node.func)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.lstrip("_")
