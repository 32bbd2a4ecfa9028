"""Test sets in the layouts of their releases, made of real LFW photographs."""

import csv
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

import cv2
import numpy as np

from lfw_eval.datasets.alignment import FivePointAlignment
from lfw_eval.datasets.alignment.mtcnn import central_face, find_faces
from lfw_eval.datasets.pairs import Pairs, read_pairs
from lfw_eval.datasets.photographs import open_photographs

Images = Mapping[str, np.ndarray]


def some_pairs(lfw: Path, per_kind: int) -> Pairs:
    """The first genuine and impostor pairs of every fold of LFW's view 2."""
    pairs = read_pairs(lfw / "pairs.txt")
    rows = np.flatnonzero(np.arange(len(pairs)) % 300 < per_kind)
    left, right = ([pairs.names[row] for row in side[rows]] for side in (pairs.left, pairs.right))
    return Pairs.of(left, right, pairs.genuine[rows], pairs.fold[rows])


def photographs(lfw: Path, names: Collection[str]) -> Images:
    return dict(open_photographs(lfw / "lfw.tgz").read(names))


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_bin(path: Path, images: Images, pairs: Pairs, protocol: int = 4) -> None:
    """As insightface's `lfw2pack.py` does with its aligned crops, 112x112."""
    names = list(images)
    aligned = FivePointAlignment().align(names, list(images.values()))
    encoded = {name: jpeg(crop) for name, crop in zip(names, aligned.crops, strict=True)}
    bins = [
        encoded[pairs.names[row]]
        for both in zip(pairs.left, pairs.right, strict=True)
        for row in both
    ]
    with path.open("wb") as file:
        pickle.dump((bins, pairs.genuine.tolist()), file, protocol=protocol)


def write_csv_folder(folder: Path, images: Images, pairs: Pairs) -> None:
    """Photographs under numbers, two folders deep, and pairs.csv."""
    where = {name: f"photos/{i % 3}/{i:04d}.jpg" for i, name in enumerate(sorted(images))}
    for name, image in images.items():
        path = folder / where[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(image))
    with (folder / "pairs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["first", "second", "same"])
        for left, right, same in zip(pairs.left, pairs.right, pairs.genuine, strict=True):
            rows.writerow([where[pairs.names[left]], where[pairs.names[right]], int(same)])


def write_ijb(folder: Path, images: Images, name: str = "ijbc") -> None:
    """In insightface's layout: a template for each two images of a person, one being a video's."""
    meta, crops = folder / "meta", folder / "loose_crop"
    meta.mkdir(parents=True)
    crops.mkdir()
    people: dict[str, list[str]] = {}
    for image in sorted(images):
        people.setdefault(image.rpartition("_")[0], []).append(image)
    members, landmarks, templates = [], [], []
    for person, of_person in people.items():
        for start in range(0, len(of_person), 2):
            template = 10 * len(templates) + 1
            templates.append((template, person))
            for image in of_person[start : start + 2]:
                file = f"{len(members) + 1}.jpg"
                photo = images[image]
                (crops / file).write_bytes(jpeg(photo))
                (faces,) = find_faces([photo])
                points = faces.landmarks[central_face(faces.boxes, photo)]
                score = faces.probabilities[0]
                members.append(f"{file} {template} {7000 + len(members) // 2}")
                landmarks.append(f"{file} {' '.join(f'{v:.3f}' for v in points.ravel())} {score}")
    pairs = [
        f"{template_number} {other} {int(person == another)}"
        for index, (template_number, person) in enumerate(templates)
        for other, another in templates[index + 1 :]
    ]
    for part, lines in (
        ("face_tid_mid", members),
        ("name_5pts_score", landmarks),
        ("template_pair_label", pairs),
    ):
        (meta / f"{name}_{part}.txt").write_text("\n".join(lines) + "\n")
