"""A watched folder of known people, who may be added or removed while the command runs."""

import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.photographs import SUFFIXES, decode
from lfw_eval.live.frame import Image
from lfw_eval.live.gallery import EMPTY, Gallery
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError

Embedding = NDArray[np.float64]
Embed = Callable[[Image], Embedding | None]
"""The embedding (d,) of the face in an image, uint8 (h, w, 3) RGB; None where there is none."""

_SECONDS = 1.0
_Stamp = tuple[int, int]


class GalleryFolder(Closing):
    """Images `NAME.jpg`, or several in a folder `NAME/`; a context manager that ends the watch.

    An image that cannot be used is reported on standard error and skipped.

    Attributes:
        people: The current ones; replaced as a whole, so that a reader in another thread never sees
            half a change.
    """

    def __init__(self, folder: Path, embed: Embed) -> None:
        """Read the images that are there."""
        self._folder, self._embed = folder, embed
        self._seen: dict[Path, _Stamp] = {}
        self._embeddings: dict[Path, Embedding] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.people = EMPTY
        self._update(self._listing())

    def watch(self) -> None:
        """Look for changes once a second, in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """End the watch."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        before = dict(self._seen)
        while not self._ended.wait(_SECONDS):
            now = self._listing()
            # A file still being written changes between two looks, and is left for later.
            self._update({path: stamp for path, stamp in now.items() if before.get(path) == stamp})
            before = now

    def _listing(self) -> dict[Path, _Stamp]:
        stamps = {}
        for path in (*self._folder.glob("*"), *self._folder.glob("*/*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                try:
                    status = path.stat()
                except OSError:  # gone since it was listed
                    continue
                stamps[path] = (status.st_mtime_ns, status.st_size)
        return stamps

    def _update(self, listing: Mapping[Path, _Stamp]) -> None:
        changed = [path for path, stamp in listing.items() if self._seen.get(path) != stamp]
        gone = self._seen.keys() - listing.keys()
        if not changed and not gone:
            return
        for path in (*gone, *changed):
            self._embeddings.pop(path, None)
        for path in tqdm(changed, desc="gallery", unit="img", leave=False, disable=None):
            if self._ended.is_set():
                return
            if (embedding := self._read(path)) is not None:
                self._embeddings[path] = embedding
        self._seen = dict(listing)
        self._publish()

    def _read(self, path: Path) -> Embedding | None:
        try:
            embedding = self._embed(decode(path.read_bytes(), str(path)))
        except (UserError, OSError) as error:
            _say(f"{error}")
            return None
        except cv2.error as error:
            _say(f"{path} is too large for OpenCV ({error.err}); shrink or replace it")
            return None
        if embedding is None:
            _say(f"no face detected in {path}; replace it")
        return embedding

    def _publish(self) -> None:
        paths = sorted(self._embeddings)
        names = tuple(self._name(path) for path in paths)
        for name in sorted(set(names) - set(self.people.names)):
            _say(f"+ {name}")
        for name in sorted(set(self.people.names) - set(names)):
            _say(f"- {name}")
        rows = [self._embeddings[path] for path in paths]
        self.people = Gallery(names, np.stack(rows)) if rows else EMPTY

    def _name(self, path: Path) -> str:
        name = path.stem if path.parent == self._folder else path.parent.name
        # A file's name may hold bytes that are not valid text.
        return name.encode(errors="replace").decode()


def _say(line: str) -> None:
    tqdm.write(f"gallery: {line}", file=sys.stderr)
