"""Compare a facenet-pytorch checkpoint, converted by us, with PyTorch itself.

Usage: python benchmarks/conversion_parity.py   (needs the extra `peers`, as alignment_parity.py)

Uses the trained weights where `checkpoints/` has them or they can be fetched, and otherwise random
ones: they show just as well whether every layer is converted. Prints the largest difference of the
embeddings and their minimum cosine; it writes no file.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from alignment_parity import provide_torchvision

from lfw_eval.checkpoints.conversion import convert
from lfw_eval.sources import NoSourceError, checkpoints, fetch

NAME = "20180402-114759-vggface2"


def main() -> None:
    """Convert, run both and print the largest difference."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    provide_torchvision()
    from facenet_pytorch import InceptionResnetV1

    network = InceptionResnetV1(pretrained=None)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        collection = checkpoints()
        try:
            path = fetch(collection.entry(NAME), collection)
            weights = torch.load(path, weights_only=True, map_location="cpu")
            network.load_state_dict(weights, strict=False)
            print(f"weights: {NAME}")
        except NoSourceError as error:
            print(f"random weights, because the trained ones are unavailable: {error}")
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                    torch.nn.init.uniform_(module.weight, 0.8, 1.2)
                    torch.nn.init.normal_(module.bias, 0, 0.1)
                    torch.nn.init.normal_(module.running_mean, 0, 0.1)
                    torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
            path = Path(folder) / "random.pt"
            torch.save(network.state_dict(), path)
        model = convert(path)
    network.eval()
    images = np.random.default_rng(0).normal(size=(8, 3, 160, 160)).astype(np.float32)
    with torch.no_grad():
        # facenet-pytorch returns embeddings of length 1.
        expected = network(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    embeddings = session.run(None, {model.graph.input[0].name: images})[0]
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    print(
        f"embeddings {embeddings.shape}, "
        f"largest difference {np.abs(embeddings - expected).max():.2e}"
    )
    print(f"minimum cosine {(embeddings * expected).sum(axis=1).min():.7f}")


if __name__ == "__main__":
    main()
