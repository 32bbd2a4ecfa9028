"""Which arithmetic a GPU is fast in, by its compute capability."""

Capability = tuple[int, int]

_FAST: tuple[tuple[str, Capability, tuple[Capability, ...]], ...] = (
    # What is fast, since which compute capability, and the later ones without.
    ("FP16", (5, 3), ((6, 1),)),
    ("INT8", (6, 1), ((6, 2),)),
    ("FP16 tensor cores", (7, 0), ()),
    ("INT8 tensor cores", (7, 2), ((10, 3),)),
    ("TF32 tensor cores", (8, 0), ()),
)
# Of Turing's GPUs, which all say 7.5, GTX 16 and its kin were made without tensor cores.
_SOME_WITHOUT_TENSOR_CORES = (7, 5)


def fast_arithmetic(capability: Capability) -> tuple[str, ...]:
    """Return what a GPU computes faster than FP32, such as ("FP16", "INT8").

    FP16 is by the table "Throughput of Native Arithmetic Instructions" of the CUDA C++ Programming
    Guide (results per clock and multiprocessor): none before 5.3, 256 in 5.3, 128 in 6.0, only 2
    in 6.1, 256 in 6.2, 128 or more since 7.0.

    INT8 is dp4a, four products of bytes in one instruction, which that table leaves out: the guide
    and the PTX ISA have it since 6.1, but cuDNN and TensorRT (its support matrix, "Hardware and
    Precision") refuse INT8 on 6.2, Jetson TX2.

    Tensor cores multiply float16 since 7.0, int8 since 7.2 and TF32 since 8.0 (PTX ISA, `wmma` and
    `mma`). 10.3, B300, has them for int8 no more: 0.15 POPS where 10.0 has 4.5 (Blackwell
    architecture technical brief, table 3).
    """
    return tuple(
        f"{name}{_doubt(name, capability)}"
        for name, since, without in _FAST
        if capability >= since and capability not in without
    )


def _doubt(name: str, capability: Capability) -> str:
    doubtful = capability == _SOME_WITHOUT_TENSOR_CORES and "tensor cores" in name
    return " (not in GTX 16)" if doubtful else ""
