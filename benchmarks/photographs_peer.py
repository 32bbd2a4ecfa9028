"""Time facenet-pytorch from JPEGs in the host's memory to embeddings there, on a GPU.

Usage: python benchmarks/photographs_peer.py FOLDER [--batches 64,256,1024] [--seconds 3]

FOLDER has photographs of one size as .jpg. They are decoded by torchvision on the GPU, where they
stay; MTCNN finds the faces, its own function cuts the first of each on the GPU, and
InceptionResnetV1 (random weights, which cost the same) embeds them: nothing but boxes and
embeddings goes to the host, which is faster than `MTCNN.forward`. Settings are the batch size, and
which networks run in float16. Prints a JSON object, which `benchmarks/photographs_per_second.py`
reads. Stands alone: it needs torch, torchvision, numpy and facenet-pytorch, and nothing of
lfw-eval.
"""

import argparse
import json
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from facenet_pytorch import MTCNN, InceptionResnetV1, fixed_image_standardization
from facenet_pytorch.models.utils.detect_face import crop_resize

MARGIN, SIDE = 32, 160
DEVICE = "cuda"


class Chain:
    """Both networks, of some float type each."""

    def __init__(self, detector: torch.dtype, embedder: torch.dtype) -> None:
        self._mtcnn = MTCNN(image_size=SIDE, margin=MARGIN, device=DEVICE).to(detector)
        network = InceptionResnetV1(pretrained=None).eval().to(DEVICE, embedder)
        self._network = network.to(memory_format=torch.channels_last)
        self._type = embedder

    def __call__(self, contents: list[torch.Tensor]) -> np.ndarray:
        """Return the embeddings of encoded photographs, float32 (n, 512)."""
        decoded = torchvision.io.decode_jpeg(contents, device=DEVICE)
        images = torch.stack(decoded).permute(0, 2, 3, 1)
        boxes = self.detect(images)
        faces = torch.stack(
            [crop_resize(image, box, SIDE) for image, box in zip(images, boxes, strict=True)]
        )
        faces = fixed_image_standardization(faces.permute(0, 3, 1, 2).to(self._type))
        faces = faces.contiguous(memory_format=torch.channels_last)
        embeddings: np.ndarray = self._network(faces).float().cpu().numpy()
        return embeddings

    def detect(self, images: torch.Tensor) -> list[list[int]]:
        """Return the box of the first face of each, with its margin, inside of the photograph."""
        height, width = images.shape[1:3]
        found, _ = self._mtcnn.detect(images)
        boxes = []
        for faces in found:
            box = [0.0, 0.0, width, height] if faces is None else faces[0].astype(float)
            x0, y0 = (max(int(value - MARGIN / 2), 0) for value in box[:2])
            x1 = min(int(box[2] + MARGIN / 2), width)
            y1 = min(int(box[3] + MARGIN / 2), height)
            boxes.append([x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)])
        return boxes


SETTINGS = {
    "float32": (torch.float32, torch.float32),
    "float32, InceptionResnetV1 in float16": (torch.float32, torch.float16),
    "float16": (torch.float16, torch.float16),
}


def rate(chain: Chain, contents: list[torch.Tensor], batch: int, seconds: float) -> float:
    """Return photographs per second, after a batch that is not counted."""
    endless = cycle(contents)
    chain(list(islice(endless, batch)))
    torch.cuda.synchronize()
    done, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        chain(list(islice(endless, batch)))
        done += batch
    return done / taken


def main() -> None:
    """Measure all settings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batches", default="64,256,1024")
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    contents = [
        torch.from_numpy(np.fromfile(path, np.uint8)) for path in sorted(options.folder.iterdir())
    ]
    torch.backends.cuda.matmul.allow_tf32 = True
    rates: dict[str, Any] = {}
    for name, types in SETTINGS.items():
        for batch in map(int, options.batches.split(",")):
            setting = f"{name}, batch {batch}"
            try:
                rates[setting] = round(rate(Chain(*types), contents, batch, options.seconds), 1)
            except (RuntimeError, ValueError, TypeError) as error:
                rates[setting] = f"failed: {str(error).partition(chr(10))[0]}"
            print(f"{setting}: {rates[setting]}", file=sys.stderr, flush=True)
    measured = {name: value for name, value in rates.items() if isinstance(value, float)}
    fastest = max(measured, key=lambda name: measured[name])
    record = {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "GPU": torch.cuda.get_device_name(),
        "photographs/s": rates,
        "fastest": fastest,
        "fastest photographs/s": measured[fastest],
    }
    print(json.dumps(record))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
