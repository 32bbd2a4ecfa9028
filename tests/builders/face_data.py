"""Small face detection data sets, made up, in the layout of each format."""

import json
import struct
import zlib

import cv2
import numpy as np
from scipy.io import savemat

WIDTH, HEIGHT = 64, 48
WIDER_TXT = """0--Parade/0_Parade_a_1.jpg
4
1 2 10 20 0 0 0 0 0 0
5 6 7 8 0 0 0 1 0 0
3 3 0 9 2 0 0 0 0 0
60 40 10 20 0 0 0 0 0 0
1--Handshaking/1_Handshaking_b_2.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/1_Handshaking_c_3.jpg
1
20 20 5 5 1 1 1 0 2 1
"""
WIDER_IMAGES = [line for line in WIDER_TXT.split("\n") if line.endswith(".jpg")]
FDDB_LIST = "2002/07/19/big/img_1\n1\n20 10 0 30 24  1\n2002/07/19/big/img_2\n1\n10 5 1.57 9 9 1\n"
KITTI_FACE = "face 0.00 0 0.0 1.5 2.5 11.5 22.5 0 0 0 0 0 0 0"


def jpeg(width=WIDTH, height=HEIGHT, red=200):
    """An encoded picture whose left half is red."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 2] = red
    return cv2.imencode(".jpg", picture)[1].tobytes()


def png_claiming(width, height):
    """A few bytes of PNG that promise an image of any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, b"IEND")
    )


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(values):
    """MATLAB's n x 1 cell array."""
    array = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        array[row, 0] = value
    return array


def save_mat(path, **variables):
    path.parent.mkdir(parents=True, exist_ok=True)
    events = {"event_list": cells(["0--Parade", "1--Handshaking"])}
    files = cells([cells(["0_Parade_a_1"]), cells(["1_Handshaking_b_2", "1_Handshaking_c_3"])])
    savemat(path, {**events, "file_list": files, **variables})


def column(*numbers):
    return np.array(numbers, np.uint16).reshape(-1, 1)


def save_subsets(folder, hard=((1, 4), (), (1,)), names=("easy", "medium", "hard")):
    by_name = {"easy": ((4,), (), ()), "medium": ((1, 4), (), ()), "hard": hard}
    for name in names:
        first, *rest = (column(*rows) for rows in by_name[name])
        save_mat(folder / f"wider_{name}_val.mat", gt_list=cells([cells([first]), cells(rest)]))


def wider(folder):
    """WIDER FACE in its official layout, without the files of the subsets."""
    for name in WIDER_IMAGES:
        put(folder / "WIDER_val" / "images" / name, jpeg())
    put(folder / "wider_face_split" / "wider_face_val_bbx_gt.txt", WIDER_TXT)
    return folder


def fddb(folder):
    """FDDB in its official layout."""
    for name in ("img_1", "img_2"):
        put(folder / "originalPics" / "2002/07/19/big" / f"{name}.jpg", jpeg())
    put(folder / "FDDB-folds" / "FDDB-fold-01-ellipseList.txt", FDDB_LIST)
    return folder


def kitti(folder):
    """KITTI's layout with two cameras; the third image has no labels."""
    for name in ("000000", "000001", "000002"):
        for camera in ("image_2", "image_3"):
            put(folder / camera / f"{name}.jpg", jpeg())
    dont_care = "DontCare -1 -1 -10 1 1 5 5 -1 -1 -1 -1000 -1000 -1000 -10 0.5"
    car = KITTI_FACE.replace("face", "Car")
    put(folder / "label_2" / "000000.txt", "\n".join([KITTI_FACE, dont_care, car, ""]))
    put(folder / "label_2" / "000001.txt", "")
    return folder


def coco(folder, names=("a.jpg", "b.jpg"), boxes=(([1, 2, 3, 4], {}),), **changed):
    """A folder with images and COCO annotations of the first."""
    for name in names:
        put(folder / "pictures" / name, jpeg())
    document = {
        "categories": [{"id": 7, "name": "face"}],
        "images": [
            {"id": row, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for row, name in enumerate(names)
        ],
        "annotations": [
            {"id": row, "image_id": 0, "category_id": 7, "bbox": box, **more}
            for row, (box, more) in enumerate(boxes)
        ],
        **changed,
    }
    put(folder / "faces.json", json.dumps(document))
    return folder
