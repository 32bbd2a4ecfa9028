"""A contact sheet: crops on one page, to see at a glance whether alignment worked."""

from pathlib import Path

import cv2
import numpy as np

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.system.files import write_atomically

_COLUMNS, _ROWS = 16, 10
_TILE = 80  # pixels of a crop's longer side
_AMBER_BGR = (0, 160, 255)


def write_contact_sheet(store: CropStore) -> Path:
    """Write `contact_sheet.jpg` into the store's folder and return its path.

    First come the crops without a detected face, framed in amber, as many as fit into half of the
    160 places; then crops at equal distances through the store.
    """
    places = _COLUMNS * _ROWS
    undetected = np.flatnonzero(~store.detected)[: places // 2]
    detected = np.flatnonzero(store.detected)
    count = min(places - len(undetected), len(detected))
    spread = detected[np.linspace(0, len(detected) - 1, count).astype(int)] if count else detected
    shown = [*undetected, *spread]
    rows = -(-len(shown) // _COLUMNS)
    height, width = CropSize(*store.crops.shape[1:3]).scaled_to(_TILE)
    sheet = np.zeros((rows * height, _COLUMNS * width, 3), dtype=np.uint8)
    for place, row in enumerate(shown):
        tile = cv2.resize(store.crops[row], (width, height), interpolation=cv2.INTER_AREA)
        tile = cv2.cvtColor(tile, cv2.COLOR_RGB2BGR)
        if not store.detected[row]:
            cv2.rectangle(tile, (0, 0), (width - 1, height - 1), _AMBER_BGR, thickness=3)
        top, left = place // _COLUMNS * height, place % _COLUMNS * width
        sheet[top : top + height, left : left + width] = tile
    path = store.folder / "contact_sheet.jpg"
    write_atomically(path, cv2.imencode(".jpg", sheet)[1].tobytes())
    return path
