"""What generated photos have in common: skin, hairs, random surfaces."""

import functools

import numpy as np
from jaxtyping import Float32

HEIGHT = 126.0
"""Lengths are in pixels of a photo of this height, and grow with the photo."""

_LIGHT_SKIN = np.array([0.88, 0.72, 0.62], np.float32)
_DARK_SKIN = np.array([0.56, 0.40, 0.31], np.float32)

Plane = Float32[np.ndarray, "height width"]
Planes = Float32[np.ndarray, "3 height width"]


def check_number(index: int, seed: int) -> None:
    """Raises ValueError for what names no photo."""
    if index < 0 or seed < 0:
        raise ValueError(f"index {index} and seed {seed} must not be negative")


def paint_skin(rng: np.random.Generator, size: tuple[int, int]) -> Planes:
    """Paints shaded, blotchy skin with pixel noise, as RGB planes in 0..255."""
    height, width = size
    colour = _LIGHT_SKIN + rng.uniform(0, 1) * (_DARK_SKIN - _LIGHT_SKIN)
    colour = colour + rng.normal(0, 0.02, 3)
    slope = rng.uniform(0, 0.12) * np.array(random_direction(rng))
    shade = 0.1 * smooth_field(rng, (3, 4), size)
    shade += np.linspace(-slope[1], slope[1], height, dtype=np.float32)[:, None]
    shade += np.linspace(-slope[0], slope[0], width, dtype=np.float32)
    np.clip(shade, -0.3, 0.15, out=shade)
    shade += rng.uniform(0.015, 0.03) * smooth_field(rng, (28, 42), size)
    blush = rng.uniform(0.008, 0.016) * smooth_field(rng, (9, 14), size)
    noise = np.frombuffer(rng.bytes(3 * height * width), np.uint8).reshape(3, height, width)
    # A byte's 256 equal steps, scaled to a standard deviation of .018 of the full range.
    step = np.float32(0.018 * np.sqrt(12))
    planes = np.multiply(noise, step, dtype=np.float32)
    for plane, level, red in zip(planes, 255 * colour, (0.3, -1.0, -0.8), strict=True):
        light = shade + np.float32(red) * blush
        light *= np.float32(level)
        light += np.float32(level - 127.5 * step)
        plane += light
    return planes


def hair_cover(rng: np.random.Generator, size: tuple[int, int]) -> Plane:
    """Draws 0 to 6 bent hairs; returns how much of each pixel they cover, 0..1."""
    height, width = size
    unit = height / HEIGHT
    cover = np.zeros(height * width, np.float32)
    for _ in range(rng.integers(0, 7)):
        start = rng.uniform(0, 1, 2) * [width, height]
        length = unit * rng.uniform(30, 80)
        angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.8, 0.8)
        radius = unit * rng.uniform(0.3, 0.5)
        opacity = np.float32(rng.uniform(0.5, 0.85))
        along = np.linspace(0, 1, max(2, int(1.5 * length)))
        direction = angle + bend * along
        x = start[0] + length * np.cumsum(np.cos(direction)) / len(along)
        y = start[1] + length * np.cumsum(np.sin(direction)) / len(along)
        thickness = radius * (1 - 0.6 * along**2)
        at, distance = stamp(x, y, size, reach=int(np.ceil(radius + 0.5)))
        ink = opacity * np.clip(thickness[:, None] + 0.5 - distance, 0, 1)
        inside = at >= 0
        np.maximum.at(cover, at[inside], ink[inside].astype(np.float32))
    return cover.reshape(size)


def paint_hair(planes: Planes, cover: Plane) -> None:
    """Paints hairs over the photo; `cover` is what `hair_cover` gave."""
    planes *= 1 - cover
    planes += cover * np.array([34.0, 24.0, 20.0], np.float32)[:, None, None]


def stamp(
    x: np.ndarray, y: np.ndarray, size: tuple[int, int], *, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the pixels around points: their flat positions (-1 outside) and distances."""
    offsets = np.arange(-reach, reach + 1)
    columns = np.floor(x).astype(np.int64)[:, None] + offsets
    rows = np.floor(y).astype(np.int64)[:, None] + offsets
    dx = (columns + 0.5 - x[:, None]).astype(np.float32)
    dy = (rows + 0.5 - y[:, None]).astype(np.float32)
    distance = np.sqrt(dx[:, None, :] ** 2 + dy[:, :, None] ** 2)
    inside = ((rows >= 0) & (rows < size[0]))[:, :, None] & ((columns >= 0) & (columns < size[1]))[
        :, None, :
    ]
    at = np.where(inside, rows[:, :, None] * size[1] + columns[:, None, :], -1)
    return at.reshape(len(x), -1), distance.reshape(len(x), -1)


def random_direction(rng: np.random.Generator) -> tuple[float, float]:
    """Draws the (x, y) of a unit vector."""
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


def knots_for(size: tuple[int, int], spacing: float) -> tuple[int, int]:
    """Counts the knots that lie this many pixels apart."""
    return tuple(int(side / spacing) + 2 for side in size)


def smooth_field(rng: np.random.Generator, knots: tuple[int, int], size: tuple[int, int]) -> Plane:
    """Draws a random surface of standard deviation about 1 that bends once between knots."""
    values = rng.standard_normal((knots[0] + 2, knots[1] + 2), dtype=np.float32)
    rows, columns = (_spline(count, side) for count, side in zip(knots, size, strict=True))
    return rows @ values @ columns.T


@functools.lru_cache(maxsize=64)
def _spline(knots: int, samples: int) -> Float32[np.ndarray, "samples knots_and_ends"]:
    """Builds the matrix that spreads knot values over samples with a cubic B-spline."""
    at = np.linspace(1, knots, samples)[:, None]
    distance = np.abs(at - np.arange(knots + 2))
    near, far = 2 / 3 - distance**2 * (1 - distance / 2), (2 - distance) ** 3 / 6
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    # Squared weights sum to 151/315 on average: divided by its root, the field keeps its spread.
    return np.float32(weights / np.sqrt(151 / 315))
