"""The lists of CALFW and CPLFW: `Name_0001.jpg 3`, a pair in every two lines.

The format of `pairs_CALFW.txt` and `pairs_CPLFW.txt` as their authors release them (Zheng, Deng and
Hu 2017; Zheng and Deng 2018). The number, the same on both lines, is 0 for different people, and
for the same person that of the fold, 1 to 10. Genuine pairs come first. Which fold an impostor pair
is in is not stated: there are as many consecutive ones as there are of genuine pairs.
"""

import re

import numpy as np

from lfw_eval.datasets.image_finder import ImageFinder
from lfw_eval.datasets.list_text import numbered_lines, shown
from lfw_eval.datasets.pair_files import PairFile
from lfw_eval.datasets.pairs import Pairs, consecutive_folds
from lfw_eval.datasets.photographs import SUFFIXES
from lfw_eval.system.errors import UserError

_LINE = re.compile(r"(\S.*)\s(\d{1,9})", re.DOTALL)


def is_paired_line(line: str, finder: ImageFinder) -> bool:
    """Return whether a line is an image file and a number.

    Two names and a number are the row of a table: only one that the images have holds a space.
    """
    match = _LINE.fullmatch(line)
    name = match[1].rstrip() if match else ""
    if not name.lower().endswith(SUFFIXES) or "," in name:
        return False
    return len(name.split()) == 1 or bool(finder.find(name))


def parse_paired_lines(text: str, path: PairFile, finder: ImageFinder) -> Pairs:
    """Read the pairs from a list's text.

    A repeated pair is read as often as it is listed, as in published figures.

    Args:
        text: Of the file.
        path: Names the file in errors.
        finder: Of the images.

    Raises:
        UserError: A line is malformed, an image is missing, or the two lines of a pair contradict
            each other; the message names the line.
    """
    lines: list[tuple[int, str, int]] = []
    for line, content in numbered_lines(text):
        match = _LINE.fullmatch(content)
        if not match:
            raise UserError(
                f"{path}, line {line}: expected an image and the number of its fold, or 0, not "
                f"{shown(content)}",
                "correct the line",
            )
        lines.append((line, finder.one(match[1].rstrip(), f"{path}, line {line}"), int(match[2])))
    for (line, first, fold), (_, second, other) in zip(lines[::2], lines[1::2], strict=False):
        if fold != other:
            raise UserError(
                f"{path}, line {line + 1}: expected the fold of the line before, {fold}, since "
                f"every two lines are a pair, not {other}",
                "correct the line",
            )
        if first == second:
            raise UserError(
                f"{path}, line {line + 1}: expected two different images, but both are {first}",
                "correct the line",
            )
    if len(lines) % 2:
        raise UserError(
            f"{path} ends after the first image of a pair, line {lines[-1][0]}",
            "get a complete copy",
        )
    left, right = ([name for _, name, _ in side] for side in (lines[::2], lines[1::2]))
    number = np.array([fold for _, _, fold in lines[::2]])
    genuine = number > 0
    stated = np.unique(number[genuine])
    if len(stated) < 2:  # 1 says no more than that the person is the same
        return Pairs.of(left, right, genuine)
    folds = consecutive_folds(genuine, len(stated))
    folds[genuine] = np.searchsorted(stated, number[genuine])
    return Pairs.of(left, right, genuine, folds)
