"""What a reader of a data set's numbers must know, in words."""

from collections.abc import Mapping

from lfw_eval.results.caution import Caution

CAUTIONS: Mapping[Caution, str] = {
    "": "",
    "stand-in": "This is NOT LFW: 118 photographs of five people, used because LFW is unavailable. "
    "It validates the pipeline; its accuracy cannot be compared with published numbers.",
    "resized": "The crops were aligned for ArcFace's networks, of 112x112, and are resized: this "
    "network was trained on other crops; its numbers compare precisions, not networks.",
}
