"""Pictures for the page, as data: URLs; made from pixels, so they carry nothing else."""

import base64
import dataclasses
import io
import math
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from stn_jax.data.photo import load_unpadded, to_image
from stn_jax.evaluation import geometry
from stn_jax.web.answerer import Answer

LONGEST_SIDE = 960
"""Of a shown photo, in pixels: sharp on a phone and on half a desktop."""
THUMBNAIL = (240, 360)
"""Height and width of a small picture, at most."""
OVERHANG = 0.15
"""How much of the area of interest is drawn beyond the photo, as a share of the photo's side."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What the network looked at.

    Attributes:
      photo: the upright photo, a data: URL.
      width: of the photo in the file, in pixels; so is `height`.
      view: SVG view box (x, y, width, height) in these pixels.
      outline: SVG points of the area of interest; "" where it has no bounds, as a projective map's
        that reaches the horizon.
      crop: the area of interest as the classifier saw it, a data: URL.
      crop_size: its height and width.
      outside: share of the area of interest that lies beyond the photo.
      words: the zoom in words.
    """

    photo: str
    width: int
    height: int
    view: tuple[float, float, float, float]
    outline: str
    crop: str
    crop_size: tuple[int, int]
    outside: float
    words: str


def make_pictures(answer: Answer) -> Pictures:
    """Draws one answer; decodes the photo again, because the network's own may be too small."""
    height, width = answer.photo.original_size
    side = min(LONGEST_SIDE, max(height, width))
    shown = shrink(answer.upload.content, (side, side))
    prediction = answer.prediction
    return Pictures(
        photo=_as_url(shown, "JPEG"),
        width=width,
        height=height,
        crop=_as_url(prediction.crop, "PNG"),
        crop_size=prediction.crop.shape[:2],
        **_where(prediction.box, (height, width)),
    )


def _where(box: Float[np.ndarray, "4 2"], size: tuple[int, int]) -> dict[str, Any]:
    """What the pictures say of an area of interest in a photo of a size."""
    words = geometry.in_words(box, size)
    if not geometry.is_bounded(box):
        view = (0.0, 0.0, float(size[1]), float(size[0]))
        return {"view": view, "outline": "", "outside": 0.0, "words": words}
    return {
        "view": _view(box, size),
        "outline": " ".join(f"{x:.1f},{y:.1f}" for x, y in box),
        "outside": geometry.share_outside(box, size),
        "words": words,
    }


def shrink(content: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Upright pixels, within `size`, of a photo that the predictor has found to be in order."""
    return load_unpadded(
        content, size=size, max_megapixels=math.inf, max_file_bytes=math.inf
    ).pixels


def thumbnail(content: bytes) -> bytes:
    """A small JPEG of a photo that the predictor has found to be in order."""
    return encode(shrink(content, THUMBNAIL), "JPEG")


def encode(pixels: UInt8[np.ndarray, "height width channel"], kind: str) -> bytes:
    """Pixels as a file; `kind` is JPEG or PNG."""
    content = io.BytesIO()
    options = {"quality": 88} if kind == "JPEG" else {}
    to_image(pixels).save(content, format=kind, **options)
    return content.getvalue()


def _as_url(pixels: UInt8[np.ndarray, "height width channel"], kind: str) -> str:
    data = base64.b64encode(encode(pixels, kind)).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"


def _view(
    box: Float[np.ndarray, "4 2"], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The photo, and of the area of interest what lies a little beyond it."""
    sides = np.array([size[1], size[0]], np.float64)
    low = np.clip(box.min(axis=0), -OVERHANG * sides, 0)
    high = np.clip(box.max(axis=0), sides, (1 + OVERHANG) * sides)
    return tuple(round(float(value), 1) for value in (*low, *(high - low)))
