"""Verified local files from the manifests in `datasets/` and `checkpoints/`."""

from lfw_eval.sources.archives import iter_members
from lfw_eval.sources.fetch import NoSourceError, fetch, locate
from lfw_eval.sources.manifest import Entry, Package
from lfw_eval.sources.roots import Collection, checkpoints, datasets

__all__ = [
    "Collection",
    "Entry",
    "NoSourceError",
    "Package",
    "checkpoints",
    "datasets",
    "fetch",
    "iter_members",
    "locate",
]
