"""Cautions about a data set, as sentences for readers."""

from collections.abc import Mapping

from lfw_eval.results.caution import Caution

CAUTIONS: Mapping[Caution, str] = {
    "": "",
    "stand-in": "This is NOT LFW: 118 photographs of five people, used because LFW is unavailable. "
    "It validates the pipeline; its accuracy cannot be compared with published numbers.",
    "resized": "The crops were aligned for 112x112 ArcFace networks and resized; this network was "
    "trained on other crops, so its numbers compare precisions, not networks.",
}
