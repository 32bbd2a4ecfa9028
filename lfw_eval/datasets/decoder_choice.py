"""Which decoder the photographs of a GPU get on this machine."""

import cv2

from lfw_eval.datasets.device_decoding import DeviceDecoder
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.nvimagecodec import NvImageCodecDecoder, codec_title
from lfw_eval.engines.cuda.device import Device
from lfw_eval.system.errors import UserError


def open_decoder(device: Device) -> DeviceDecoder:
    """Open the faster decoder that is installed: the GPU's, else one for all cores of the host.

    An H200's decoded 32,000 photographs/s of 250x250 and took little of the host's time, where 16
    cores decoded 10,000. A race between the two at the start of each run is not what decides: the
    pixels differ slightly, so that the same command would not always give the same crops.

    Raises:
        UserError: nvImageCodec is installed, but cannot decode on this GPU.
    """
    host = HostDecoder(device)
    try:
        codec_title()
    except UserError as error:
        host.description += f", since {error}"
        return host
    return NvImageCodecDecoder(device, host)


def decoder_title() -> str:
    """Return name and version of what `open_decoder` opens, which pixels depend on."""
    try:
        return codec_title()
    except UserError:
        return f"OpenCV {cv2.__version__}"
