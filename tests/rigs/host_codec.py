"""nvImageCodec without a GPU: its decoders for the CPU, whose images are in the host's memory."""

from cuda_on_cpu.device import CpuDevice

from lfw_eval.datasets.nvimagecodec import NvImageCodecDecoder


class CodecDevice(CpuDevice):
    index = -99999  # NVIMGCODEC_DEVICE_CPU_ONLY


class HostCodec(NvImageCodecDecoder):
    backends = ("CPU_ONLY",)
    interface = "__array_interface__"
