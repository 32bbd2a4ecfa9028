"""The faces that MTCNN leaves on the GPU."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.memory import Buffers


@dataclass(frozen=True, eq=False)
class DeviceFaces:
    """The faces of a batch; on the GPU until the detector's next batch.

    Those of image i are entries `offsets[i]` to `offsets[i] + counts[i] - 1` of the lists, the most
    probable first. Entries that are no face's are not set.

    Attributes:
        images: How many.
        room: Entries of the lists.
        counts: Address of int32 (images,).
        offsets: Address of int32 (images,).
        boxes: Address of float32 (room, 4): x1, y1, x2, y2 in pixels.
        scores: Address of float32 (room,), the probabilities.
        landmarks: Address of float32 (room, 5, 2): x, y as `Faces` has them.
        buffers: The detector's.
    """

    images: int
    room: int
    counts: int
    offsets: int
    boxes: int
    scores: int
    landmarks: int
    buffers: Buffers

    def to_host(self, stream: Stream) -> list[Faces]:
        """Wait for the faces; return each image's.

        Raises:
            UserError: The detector failed, or the host has too little memory.
        """
        memory = self.buffers.page_locked
        counts = memory("face counts", (self.images,), np.int32)
        offsets = memory("face offsets", (self.images,), np.int32)
        boxes = memory("face boxes", (self.room, 4), np.float32)
        scores = memory("face scores", (self.room,), np.float32)
        landmarks = memory("face landmarks", (self.room, 5, 2), np.float32)
        if self.images:
            stream.to_host(counts, self.counts)
            stream.to_host(offsets, self.offsets)
        if self.room:
            stream.to_host(boxes, self.boxes)
            stream.to_host(scores, self.scores)
            stream.to_host(landmarks, self.landmarks)
        stream.synchronize()
        parts = (slice(k, k + n) for k, n in zip(offsets.tolist(), counts.tolist(), strict=True))
        # Copied, since the next batch is read into the same memory.
        return [Faces(boxes[k].copy(), scores[k].copy(), landmarks[k].copy()) for k in parts]
