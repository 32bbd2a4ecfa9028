"""Small pictures with names like LFW's."""

import cv2
import numpy as np


def picture(seed: int, height: int = 60, width: int = 50) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def encoded(image: np.ndarray, suffix: str = ".jpg") -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


NAMES = [f"{person}_{number:04d}" for person in ("Ann_Lee", "Bo") for number in (1, 2, 3)]
