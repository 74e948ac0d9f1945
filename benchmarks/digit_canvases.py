"""Photos for the question whether a zoom finds a small digit: MNIST digits on cluttered canvases.

One digit, at its own 28x28 pixels, lies anywhere on a canvas of 200x300 among fragments of other
digits; shrunk five times, as the localization net sees it, it is a smudge of 4 to 6 pixels. The
canvases are PNG files in `train/`, `val/` and `test/`, a sub-folder a class, as in a user's
own folder; `boxes.csv` says where each digit lies.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from stn_jax.data.mnist import CLASSES, read_digits

SIZE = (200, 300)
SIDE = 28
FRAGMENT = 8
FRAGMENTS = 24
SEED = 0


def make_canvases(mnist: Path, folder: Path, *, counts: dict[str, int]) -> Path:
    """Writes a folder of canvases, unless it is there already; returns it.

    Training and validation digits are MNIST's training digits, and the test's its test digits; no
    digit is used twice.

    Args:
      mnist: folder with MNIST's idx files.
      folder: where to write.
      counts: photos of each split.
    """
    done = folder / "boxes.csv"
    if done.exists():
        return folder
    digits, labels = read_digits(mnist, "train")
    tests = read_digits(mnist, "t10k")
    order = np.random.default_rng(SEED).permutation(len(labels))
    digits, labels = digits[order], labels[order]
    train, val = counts["train"], counts["val"]
    parts = {
        "train": (digits[:train], labels[:train]),
        "val": (digits[train : train + val], labels[train : train + val]),
        "test": tuple(part[: counts["test"]] for part in tests),
    }
    rows = []
    for number, (split, part) in enumerate(parts.items()):
        for index, (digit, label) in enumerate(zip(*part, strict=True)):
            rng = np.random.default_rng([SEED, number, index])
            canvas, box = draw_canvas(rng, digit, clutter=parts["train"][0])
            file = f"{split}/{CLASSES[label]}/{split}-{index:05d}.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(canvas).save(folder / file, compress_level=1)
            rows.append([file, *box])
    with done.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder


def draw_canvas(
    rng: np.random.Generator, digit: np.ndarray, *, clutter: np.ndarray
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Draws one canvas; returns it and the digit's box (x0, y0, x1, y1)."""
    height, width = SIZE
    canvas = np.zeros(SIZE, np.uint8)

    def paint(piece: np.ndarray, row: int, column: int) -> None:
        spot = canvas[row : row + len(piece), column : column + len(piece)]
        np.maximum(spot, piece, out=spot)

    for _ in range(FRAGMENTS):
        source = clutter[rng.integers(len(clutter))]
        # From the middle, where there is ink.
        top, left = rng.integers(SIDE // 4, SIDE * 3 // 4 - FRAGMENT + 1, 2)
        piece = source[top : top + FRAGMENT, left : left + FRAGMENT]
        paint(piece, rng.integers(height - FRAGMENT + 1), rng.integers(width - FRAGMENT + 1))
    row, column = rng.integers(height - SIDE + 1), rng.integers(width - SIDE + 1)
    paint(digit, row, column)
    rows, columns = (np.flatnonzero(digit.any(axis=axis)) for axis in (1, 0))
    box = (column + columns[0], row + rows[0], column + columns[-1] + 1, row + rows[-1] + 1)
    return canvas, tuple(map(int, box))


def read_boxes(folder: Path) -> dict[str, np.ndarray]:
    """Boxes of the digits by file."""
    with (folder / "boxes.csv").open(newline="") as stream:
        return {file: np.array(box, float) for file, *box in csv.reader(stream)}
