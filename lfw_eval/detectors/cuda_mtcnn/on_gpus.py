"""MTCNN's networks and kernels on some GPUs, for detectors in any number of lanes."""

from pathlib import Path

from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE as PROPOSAL_SOURCE
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import FusedProposal, proposal_weights
from lfw_eval.detectors.cuda_mtcnn.networks import MtcnnEngines
from lfw_eval.detectors.mtcnn_networks import fetch_networks
from lfw_eval.engines.cuda.device import Device, Module
from lfw_eval.engines.cuda.program import load_program
from lfw_eval.sources import checkpoints
from lfw_eval.system.closing import Closing


class MtcnnOnGpus(Closing):
    """What the detectors of all lanes share."""

    def __init__(self, gpus: tuple[int, ...], further_kernels: tuple[Path, ...] = ()) -> None:
        """Fetch the networks, and load R- and O-Net's engines, which are built the first time.

        Args:
            gpus: Numbers of the GPUs.
            further_kernels: Files that are compiled into the same modules.

        Raises:
            UserError: The networks are unavailable, a library is missing, or a GPU has too little
                memory.
        """
        self._weights = fetch_networks()
        self._sources = (PROPOSAL_SOURCE, *SOURCES, *further_kernels)
        self._modules: dict[int, Module] = {}
        self._proposals: list[tuple[Device, FusedProposal]] = []
        self._engines = MtcnnEngines(self._weights, gpus)

    def module(self, device: Device) -> Module:
        """Return the kernels on one of the GPUs, which has to be active.

        Raises:
            UserError: NVRTC, which compiles them the first time, is missing.
        """
        if device.index not in self._modules:
            folder = checkpoints().root / "kernels"
            self._modules[device.index] = load_program(device, self._sources, folder)
        return self._modules[device.index]

    def detector(self, device: Device) -> CudaMtcnn:
        """Return the detector of a lane on one of the GPUs, which has to be active.

        Raises:
            UserError: The GPU has too little memory.
        """
        module = self.module(device)
        proposal = FusedProposal(device, module, proposal_weights(self._weights["pnet"]))
        self._proposals.append((device, proposal))
        return CudaMtcnn(device, module, proposal, *self._engines.networks(device))

    def close(self) -> None:
        """Free the networks; the detectors are closed before."""
        while self._proposals:
            device, proposal = self._proposals.pop()
            with device.active():
                proposal.close()
        self._engines.close()
