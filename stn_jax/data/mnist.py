"""Distorted MNIST, as the paper that introduced spatial transformers made it.

Jaderberg et al. 2015, "Spatial Transformer Networks", arXiv:1506.02025, section 4.1, appendix A.4.
Training digits are distorted anew in every batch, from the seed and the step; those for validation
and the test once, from the seed.
"""

import functools
import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import Any, Literal, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Key, PRNGKeyArray, UInt8

from stn_jax.config import MNIST_SIZES as SIZES
from stn_jax.config import DataConfig
from stn_jax.data.dataset import PhotoDataset, count_classes
from stn_jax.data.errors import DataError
from stn_jax.sampling import grid_sample, projective_grid, spatial_transform, thin_plate_spline_grid

Task = Literal["R", "RTS", "P", "E", "TC"]

CLASSES = tuple("0123456789")
EXPECTED = (
    "expected the four files of MNIST: train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, with or without .gz"
)

_SIDE = 28
_HALF = _SIDE / 2
_CLUTTER_PATCHES, _CLUTTER_SIDE = 6, 6
_FIXED_BATCH = 1000

Digits = UInt8[np.ndarray, "_ 28 28"]


def read_digits(root: Path, name: Literal["train", "t10k"]) -> tuple[Digits, np.ndarray]:
    """Reads the digits and labels (int32) of a part of MNIST from its idx files.

    Raises:
      DataError: for files that are absent, damaged, or not MNIST's.
    """
    digits = _read_idx(root, f"{name}-images-idx3-ubyte")
    labels = _read_idx(root, f"{name}-labels-idx1-ubyte")
    fit = labels.ndim == 1 and digits.shape == (len(labels), _SIDE, _SIDE)
    if not fit or not len(labels) or labels.max() > 9:
        raise DataError(f"{root}: the {name} files do not belong together; {EXPECTED}")
    return digits, labels.astype(np.int32)


def prepare_digits(data: DataConfig) -> PhotoDataset:
    """Reads MNIST and divides its training digits into train and val; test is MNIST's own.

    Raises:
      DataError: for files that are absent or damaged, or a photo size that is not the task's.
    """
    task, root = data.mnist.task, Path(data.root)
    if tuple(data.photo_size) != SIZES[task]:
        given, needed = (" ".join(map(str, size)) for size in (data.photo_size, SIZES[task]))
        raise DataError(f"--data.photo-size {given}: --data.mnist.task {task} needs {needed}")
    digits, labels = read_digits(root, "train")
    test = read_digits(root, "t10k")
    count = len(labels)
    held_out = int(data.val_size if data.val_size >= 1 else data.val_size * count)
    if not 0 < held_out < count:
        raise DataError(f"--data.val-size {data.val_size}: {count} digits cannot be divided so")
    order = np.random.default_rng(data.split_seed).permutation(count)
    train, val = np.sort(order[held_out:]), np.sort(order[:held_out])
    parts = {
        "train": (digits[train], labels[train]),
        "val": (digits[val], labels[val]),
        "test": test,
    }
    splits = {
        name: DigitSplit(*part, digits[train], task=task, seed=3 * data.mnist.seed + number)
        for number, (name, part) in enumerate(parts.items())
    }
    sample = splits["train"].make_batch(np.arange(min(_FIXED_BATCH, len(train))), step=0)
    content = b"".join(array.tobytes() for part in parts.values() for array in part)
    return PhotoDataset(
        splits=splits,
        classes=CLASSES,
        mean_color=(float(sample["photo"].mean()),),
        fingerprint=hashlib.sha256(repr(data.mnist).encode() + content).hexdigest(),
        name=f"MNIST {task}",
        report={
            "name": f"MNIST {task}",
            "photo_size": list(SIZES[task]),
            "taken": sum(len(split) for split in splits.values()),
            "splits": count_classes(splits, CLASSES),
            "refused": {},
            "dropped": {},
            "duplicates": [],
        },
    )


@functools.partial(jax.jit, static_argnames="task")
def distort(
    keys: Key[Array, "batch"],
    digits: UInt8[Array, "batch 28 28"],
    clutter: UInt8[Array, "count 28 28"],
    *,
    task: Task,
) -> UInt8[Array, "batch height width 1"]:
    """Distorts digits, each by its own key.

    R turns by up to 90 degrees either way. RTS turns by up to 45, scales by 0.7 to 1.2 and places
    the digit anywhere on 42x42. P scales by 0.75 to 1 and stretches each corner from or to the
    centre by an amount of 5 pixels (standard deviation); the source does not say in which
    direction. E scales likewise and moves 16 control points of a thin-plate spline by 1.5. TC
    places the digit anywhere on 60x60, among six 6x6 patches of other digits.

    Args:
      keys: [batch] random keys.
      digits: 0..255.
      clutter: digits whose patches clutter the canvas of TC.
      task: which distortion.
    """
    images = digits[..., None]
    draws = jax.vmap(lambda key: jax.random.split(key, 3))(keys)
    if task in ("R", "RTS"):
        found = spatial_transform(images, _similarity(draws, task), SIZES[task])
    elif task == "TC":
        found = jax.vmap(_place_among_clutter, (0, 0, None))(keys, images, clutter)
    else:
        grid = _corners_grid(draws) if task == "P" else _spline_grid(draws)
        found = grid_sample(images, grid)
    return jnp.round(found).astype(jnp.uint8)


class DigitSplit:
    """Distorted digits by place; `make_batch` distorts anew for every step.

    Attributes:
      labels: the digits, int32.
      arrays: the digits' pixels, and the digits whose patches clutter them.
    """

    def __init__(
        self, digits: Digits, labels: np.ndarray, clutter: Digits, *, task: Task, seed: int
    ):
        self.labels = labels
        self.arrays = (digits, clutter)
        self._clutter = jnp.asarray(clutter)
        self._task: Task = task
        self._key = jax.random.key(seed % 2**32)  # as much of it as JAX takes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        place = range(len(self))[index]
        return {
            "photo": self._fixed[place],
            "label": int(self.labels[place]),
            "file": f"digit-{place:05d}",
            "group": "",
            "box": np.full(4, np.nan, np.float32),
            "metadata": "{}",
        }

    def make_batch(self, places: np.ndarray, step: int) -> dict[str, np.ndarray]:
        """Distorts the digits at `places` from (seed, step, place)."""
        return {
            "photo": self._draw(places, jax.random.fold_in(self._key, 1 + step)),
            "label": self.labels[places],
            "index": places.astype(np.int32),
        }

    def make_photos(
        self,
        arrays: tuple[UInt8[Array, "count 28 28"], UInt8[Array, "more 28 28"]],
        places: Int[Array, "batch"],
        step: Int[Array, ""],
    ) -> UInt8[Array, "batch height width 1"]:
        """The photos of `make_batch`, from `arrays` on a device, inside a compiled step."""
        digits, clutter = arrays
        key = jax.random.fold_in(self._key, 1 + step)
        return self._distort(digits[places], clutter, places, key)

    @functools.cached_property
    def _fixed(self) -> UInt8[np.ndarray, "count height width 1"]:
        starts = range(0, len(self), _FIXED_BATCH)
        places = [np.arange(s, min(s + _FIXED_BATCH, len(self))) for s in starts]
        key = jax.random.fold_in(self._key, 0)
        return np.concatenate([self._draw(some, key) for some in places])

    def _draw(
        self, places: Int[np.ndarray, "batch"], key: PRNGKeyArray
    ) -> UInt8[np.ndarray, "batch height width 1"]:
        digits = jnp.asarray(self.arrays[0][places])
        return np.asarray(self._distort(digits, self._clutter, jnp.asarray(places), key))

    def _distort(
        self,
        digits: UInt8[Array, "batch 28 28"],
        clutter: UInt8[Array, "count 28 28"],
        places: Int[Array, "batch"],
        key: PRNGKeyArray,
    ) -> UInt8[Array, "batch height width 1"]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places.astype(jnp.uint32))
        return distort(keys, digits, clutter, task=self._task)


def _similarity(draws: Key[Array, "batch 3"], task: Task) -> Float[Array, "batch 2 3"]:
    """Theta that turns, scales and places each digit on its canvas."""
    canvas = SIZES[task][0] / 2
    most = math.pi / 2 if task == "R" else math.pi / 4
    low, high = (1.0, 1.0) if task == "R" else (0.7, 1.2)
    angle = _uniform(draws[:, 0], -most, most)
    scale = _uniform(draws[:, 1], low, high)
    reach = jnp.maximum(0.0, canvas - _HALF * scale)  # pixels the centre can move by
    shift = _uniform(draws[:, 2], -1.0, 1.0, (2,)) * reach[:, None]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    # From the canvas back to the digit, in pixels about their centres.
    back = jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], -2)
    back = back / scale[:, None, None]
    moved = -(back * shift[:, None, :]).sum(axis=-1)
    return jnp.concatenate([back * canvas, moved[..., None]], axis=-1) / _HALF


def _scales(draws: Key[Array, "batch 3"]) -> Float[Array, "batch"]:
    return _uniform(draws[:, 0], 0.75, 1.0)


def _uniform(
    keys: Key[Array, "batch"], low: float, high: float, shape: tuple[int, ...] = ()
) -> Float[Array, "batch *shape"]:
    return jax.vmap(lambda key: jax.random.uniform(key, shape, minval=low, maxval=high))(keys)


def _corners_grid(draws: Key[Array, "batch 3"]) -> Float[Array, "batch height width 2"]:
    """Positions under the homography that takes stretched corners back to the digit's."""
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], np.float32)
    amount = jax.vmap(lambda key: jax.random.normal(key, (4,)))(draws[:, 1]) * 5.0
    stretch = _scales(draws)[:, None] + amount / (_HALF * math.sqrt(2))
    moved = corners[None] * stretch[..., None]
    u, v = moved[..., 0], moved[..., 1]
    x, y = jnp.broadcast_to(corners[:, 0], u.shape), jnp.broadcast_to(corners[:, 1], u.shape)
    one, zero = jnp.ones_like(u), jnp.zeros_like(u)
    rows = [
        jnp.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=-1),
        jnp.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=-1),
    ]
    system, wanted = jnp.concatenate(rows, axis=1), jnp.concatenate([u, v], axis=1)
    forth = jnp.linalg.solve(system, wanted[..., None])[..., 0]
    forth = jnp.concatenate([forth, jnp.ones_like(forth[:, :1])], axis=1).reshape(-1, 3, 3)
    # Solved this way round because the inverse is then in front of the viewer at the digit's centre
    # wherever the corners go.
    return projective_grid(jnp.linalg.inv(forth), SIZES["P"])


def _spline_grid(draws: Key[Array, "batch 3"]) -> Float[Array, "batch height width 2"]:
    noise = jax.vmap(lambda key: jax.random.normal(key, (16, 2)))(draws[:, 1]) * (1.5 / _HALF)
    return thin_plate_spline_grid(noise, SIZES["E"]) / _scales(draws)[:, None, None, None]


def _place_among_clutter(
    key: PRNGKeyArray,
    digit: UInt8[Array, "28 28 1"],
    clutter: UInt8[Array, "count 28 28"],
) -> UInt8[Array, "60 60 1"]:
    height, width = SIZES["TC"]
    place_key, which_key, from_key, to_key = jax.random.split(key, 4)
    row, column = jax.random.randint(place_key, (2,), 0, height - _SIDE + 1)
    canvas = jnp.zeros((height, width, 1), jnp.uint8)
    canvas = jax.lax.dynamic_update_slice(canvas, digit, (row, column, 0))
    which = jax.random.randint(which_key, (_CLUTTER_PATCHES,), 0, len(clutter))
    origins = jax.random.randint(from_key, (_CLUTTER_PATCHES, 2), 0, _SIDE - _CLUTTER_SIDE + 1)
    targets = jax.random.randint(to_key, (_CLUTTER_PATCHES, 2), 0, height - _CLUTTER_SIDE + 1)
    shape = (_CLUTTER_SIDE, _CLUTTER_SIDE, 1)
    for number in range(_CLUTTER_PATCHES):
        source = clutter[which[number]][..., None]
        patch = jax.lax.dynamic_slice(source, (*origins[number], 0), shape)
        spot = (*targets[number], 0)
        # The brighter of the two, so that clutter never erases the digit.
        under = jax.lax.dynamic_slice(canvas, spot, shape)
        canvas = jax.lax.dynamic_update_slice(canvas, jnp.maximum(under, patch), spot)
    return canvas


def _read_idx(root: Path, name: str) -> np.ndarray:
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            break
    else:
        raise DataError(f"--data.root {root}: no {name} in it; {EXPECTED}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: damaged or not an idx file ({error})") from error
    if (zero, kind) != (0, 8):
        raise DataError(f"{path}: not an idx file of bytes")
    return values
