"""Generated lesions of sixteen kinds, for a network to learn shapes and colours from.

A few hundred photos teach a network little about outlines and colours. These photos do, in any
number, and `--train.init-from` takes what was learned along. The kinds are the combinations of four
properties with two values each, after the four that the ABCD rule of dermatoscopy asks for
(Nachbar et al. 1994, Journal of the American Academy of Dermatology 30:551): how irregular the
outline is, how sharply it ends, how many colours there are, and how much structure. They are not
diagnoses, and no real photo was measured to make them.
"""

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float32

from stn_jax.data.painting import (
    HEIGHT,
    Plane,
    Planes,
    check_number,
    hair_cover,
    knots_for,
    paint_hair,
    paint_skin,
    smooth_field,
)
from stn_jax.data.synthetic import SyntheticPhoto

CLASSES = tuple(
    "-".join(kind)
    for kind in itertools.product(
        ("regular", "irregular"), ("sharp", "soft"), ("plain", "colourful"), ("even", "structured")
    )
)
"""Names of the labels: outline, border, colours, structure."""

_ORDERS = np.arange(2, 13)  # waves around the outline
_ANGLES = np.linspace(0, 2 * np.pi, 256, endpoint=False)


@dataclasses.dataclass(frozen=True)
class _Shape:
    """A lesion's outline: an ellipse whose radius waves.

    Attributes:
      centre: (x, y) in pixels.
      radius: of the circle that the ellipse is made of, in pixels.
      stretch: by which one axis is longer, and the other shorter.
      angle: of the longer axis, in radians.
      outline: distance from the centre at each of `_ANGLES`, in radii.
    """

    centre: tuple[float, float]
    radius: float
    stretch: float
    angle: float
    outline: np.ndarray


def generate_photo(index: int, *, size: tuple[int, int], seed: int) -> SyntheticPhoto:
    """Generates the photo number `index` of the endless set that `seed` names.

    A pure function of its arguments: the same ones give the same bytes. The label is the index
    modulo sixteen. One lesion lies near the middle, as a dermatoscope shows it.

    Args:
      index: number of the photo, from 0.
      size: height and width in pixels, each at least 16.
      seed: a non-negative number that names the set.

    Raises:
      ValueError: for a negative index or seed, or too small a size.
    """
    check_number(index, seed)
    if min(size) < 16:
        raise ValueError(f"size {size[0]}x{size[1]}: each side needs at least 16 pixels")
    label = index % len(CLASSES)
    irregular, soft, colourful, structured = (bool(label >> bit & 1) for bit in (3, 2, 1, 0))
    # A stream for each part, so that none shifts the draws of another.
    outline, inside, surface, overlay = (
        np.random.default_rng([seed, index, part]) for part in range(4)
    )
    shape = _draw_shape(outline, size, irregular=irregular)
    across, depth = _measure(shape, size)
    planes = paint_skin(surface, size)
    cover = _cover(outline, depth, size, soft=soft)
    lesion = _paint_inside(inside, planes, across, colourful=colourful, structured=structured)
    planes += cover * (lesion - planes)
    paint_hair(planes, hair_cover(overlay, size))
    _light(overlay, planes)
    photo = np.clip(planes + np.float32(0.5), 0, 255).astype(np.uint8)
    return SyntheticPhoto(np.ascontiguousarray(photo.transpose(1, 2, 0)), label, _box(shape, size))


def _draw_shape(rng: np.random.Generator, size: tuple[int, int], *, irregular: bool) -> _Shape:
    height, width = size
    # The root of the waves' mean squared slope: what lengthens the outline, whichever waves do it.
    slope = 10 ** (rng.uniform(-0.9, 0.05) if irregular else rng.uniform(-2.0, -0.9))
    amplitudes = rng.normal(size=len(_ORDERS)) * _ORDERS ** -rng.uniform(0.3, 1.5)
    amplitudes *= slope / np.linalg.norm(amplitudes * _ORDERS)
    phases = rng.uniform(0, 2 * np.pi, len(_ORDERS))
    waves = amplitudes[:, None] * np.cos(_ORDERS[:, None] * _ANGLES + phases[:, None])
    shift = rng.normal(0, 0.05, 2) * [width, height]
    return _Shape(
        centre=(width / 2 + shift[0], height / 2 + shift[1]),
        radius=np.exp(rng.uniform(np.log(0.12), np.log(0.5))) * min(size),
        stretch=np.exp(rng.uniform(0, 0.35)),
        angle=rng.uniform(0, np.pi),
        outline=np.maximum(1 + waves.sum(axis=0), 0.25),
    )


def _measure(
    shape: _Shape, size: tuple[int, int]
) -> tuple[Float32[np.ndarray, "2 height width"], Plane]:
    """Each pixel's place along the lesion's axes, in radii, and its depth inside, in pixels."""
    x = np.arange(size[1], dtype=np.float32) + np.float32(0.5 - shape.centre[0])
    y = (np.arange(size[0], dtype=np.float32) + np.float32(0.5 - shape.centre[1]))[:, None]
    cos, sin = np.float32(np.cos(shape.angle)), np.float32(np.sin(shape.angle))
    radii = np.float32(shape.radius * shape.stretch), np.float32(shape.radius / shape.stretch)
    across = np.stack([(cos * x + sin * y) / radii[0], (cos * y - sin * x) / radii[1]])
    angles = np.arctan2(across[1], across[0]) % np.float32(2 * np.pi)
    edge = np.interp(angles, _ANGLES, shape.outline, period=2 * np.pi).astype(np.float32)
    depth = (edge - np.hypot(across[0], across[1])) * np.float32(shape.radius)
    return across, depth


def _cover(rng: np.random.Generator, depth: Plane, size: tuple[int, int], *, soft: bool) -> Plane:
    """How much of each pixel is lesion, 0..1."""
    low, high = (3.0, 10.0) if soft else (0.8, 3.0)
    softness = np.exp(rng.uniform(np.log(low), np.log(high))) * size[0] / HEIGHT
    return 0.5 + 0.5 * np.tanh(depth / np.float32(softness))


def _paint_inside(
    rng: np.random.Generator,
    skin: Planes,
    across: Float32[np.ndarray, "2 height width"],
    *,
    colourful: bool,
    structured: bool,
) -> Planes:
    """Paints what the photo would show if the lesion covered all of it."""
    size = skin.shape[1:]
    unit = size[0] / HEIGHT
    mean = skin.mean(axis=(1, 2))
    shade = mean * (1 - rng.uniform(0.12, 0.6) * np.array([0.8, 1.0, 1.05]))
    colour = np.clip(shade + 255 * rng.normal(0, 0.04, 3), 12, 235)
    planes = np.float32(colour)[:, None, None] + np.float32(0.5) * (skin - mean[:, None, None])
    for _ in range(rng.integers(2, 5) if colourful else 0):
        field = smooth_field(rng, knots_for(size, unit * rng.uniform(10, 36)), size)
        patch = 0.5 + 0.5 * np.tanh(2 * (field - np.float32(rng.uniform(0.0, 0.8))))
        other = 255 * (rng.normal(0, 0.13) + rng.normal(0, 0.05, 3))
        planes += patch * np.float32(other)[:, None, None]
    low, high = (8.0, 28.0) if structured else (0.8, 6.0)
    grain = smooth_field(rng, knots_for(size, unit * rng.uniform(2.5, 6.0)), size)
    planes += np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))) * grain
    # Darker or lighter towards the middle, and towards one side: no kind's own.
    centre = np.clip(1 - np.hypot(across[0], across[1]), -0.5, 1)
    planes += np.float32(rng.normal(0, 18)) * centre
    planes += np.float32(rng.normal(0, 10)) * np.clip(across[0], -1, 1)
    return np.clip(planes, 0, 255)


def _light(rng: np.random.Generator, planes: Planes) -> None:
    """Colours the light, and in a third of the photos leaves the corners dark."""
    planes *= np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)[:, None, None]
    if rng.uniform() < 0.33:
        y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in planes.shape[1:])
        distance = np.hypot(y[:, None], x)
        rim, width = rng.uniform(1.05, 1.4), rng.uniform(0.02, 0.1)
        planes *= 0.5 + 0.5 * np.tanh((np.float32(rim) - distance) / np.float32(width))


def _box(shape: _Shape, size: tuple[int, int]) -> Float32[np.ndarray, "4"]:
    """The outline's box, as far as it is in the photo."""
    reach = shape.radius * shape.outline
    u, v = reach * np.cos(_ANGLES) * shape.stretch, reach * np.sin(_ANGLES) / shape.stretch
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    x, y = cos * u - sin * v + shape.centre[0], sin * u + cos * v + shape.centre[1]
    box = [x.min(), y.min(), x.max(), y.max()]
    return np.clip(box, 0, [size[1], size[0]] * 2).astype(np.float32)
