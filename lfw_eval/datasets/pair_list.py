"""A list of pairs in whatever form: LFW's, CALFW's or a table."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lfw_eval.datasets.image_finder import ImageFinder
from lfw_eval.datasets.list_text import numbered_lines, read_list, without_comments
from lfw_eval.datasets.pair_csv import parse_pair_table
from lfw_eval.datasets.pair_files import PairFile
from lfw_eval.datasets.paired_lines import is_paired_line, parse_paired_lines
from lfw_eval.datasets.pairs import Pairs, is_pair_count, parse_pairs
from lfw_eval.system.errors import UserError


def read_pair_list(path: PairFile, images: Mapping[str, str], root: Path | None = None) -> Pairs:
    """Read pairs from a file in LFW's format, that of CALFW and CPLFW, or as a table.

    Its first line tells which it is, below comments that begin with `#`.

    Args:
        path: The file.
        images: The relative path of each image, by its name.
        root: Below which they are, for lists with absolute paths.

    Raises:
        UserError: The file cannot be read or is malformed, or images are missing or ambiguous; the
            message names the line.
    """
    text = read_list(path)
    if not any("/#" in f"/{image}" for image in images.values()):
        text = without_comments(text)
    finder = ImageFinder(images, root)
    _, first = next(numbered_lines(text), (1, ""))
    if is_pair_count(first):
        return _with_images(path, parse_pairs(text, path), finder)
    if is_paired_line(first, finder):
        return parse_paired_lines(text, path, finder)
    return parse_pair_table(text, path, finder)


def _with_images(path: PairFile, pairs: Pairs, finder: ImageFinder) -> Pairs:
    """Return pairs by the names of the images that theirs mean."""
    means = {name: finder.find(name) for name in pairs.names}
    pairs.check_images([name for name, images in means.items() if images], f"the pair list {path}")
    if twice := next((name for name, images in means.items() if len(images) > 1), None):
        raise UserError(
            f"the data set has several images named {twice}, which the pair list {path} names: "
            f"{', '.join(sorted(means[twice])[:3])}",
            "list the pairs in a CSV file, by path, or evaluate one of the folders",
        )
    names = [next(iter(means[name])) for name in pairs.names]
    left, right = ([names[row] for row in rows] for rows in (pairs.left, pairs.right))
    resolved = Pairs.of(left, right, pairs.genuine, pairs.fold)
    return replace(resolved, folds_stated=pairs.folds_stated)
