"""From a file's content to upright pixels of the wanted size: nothing else opens an image."""

import io

import numpy as np
from PIL import ExifTags, Image

from stn_jax.data.photo.colors import eight_bits, to_srgb
from stn_jax.data.photo.formats import FORMATS
from stn_jax.data.photo.jpeg import count_scans
from stn_jax.data.photo.placing import Fit, Photo, placement
from stn_jax.data.photo.refusals import PhotoError

MIN_SIDE = 2
"""Photos with a shorter side are refused: a line or a tracking pixel, never a photo."""
MOST_SCANS = 100
"""A small JPEG file of very many scans would keep a decoder busy for hours."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = {5, 6, 7, 8}


def decode(
    content: bytes,
    name: str,
    size: tuple[int, int],
    fit: Fit,
    rotate_to_fit: bool,
    max_megapixels: float,
) -> Photo:
    """Decodes a photo as `load_unpadded` has it.

    Raises:
      PhotoError: for a photo of sides, scans or colours that are refused.
      Exception: whatever a decoder says of a broken file.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_size(image.size, name, max_megapixels)
        if image.format in ("JPEG", "MPO") and count_scans(content) > MOST_SCANS:
            raise PhotoError(
                name,
                f"its pixels come in more than {MOST_SCANS} scans, which no camera writes: save it "
                "anew with another program",
            )
        orientation = _orientation(image)
        upright = _swap(image.size) if orientation in _SWAPS_SIDES else image.size
        turned = rotate_to_fit and (upright[0] < upright[1]) == (size[1] > size[0])
        turned = turned and upright[0] != upright[1] and size[0] != size[1]
        shown = _swap(upright) if turned else upright
        box, target = placement(shown, size, fit)
        # JPEG can be decoded at 1/2, 1/4 or 1/8: worth it for very large files only, with twice
        # the needed pixels left for the filter that does the rest.
        enough = _swap(target) if turned != (orientation in _SWAPS_SIDES) else target
        image.draft(None, (2 * enough[0], 2 * enough[1]))
        image.load()
        straight = eight_bits(image, name)
        profile = image.info.get("icc_profile")
    for turn in (_UPRIGHT.get(orientation), Image.Transpose.ROTATE_90 if turned else None):
        if turn is not None:
            straight = straight.transpose(turn)
    shrunk = (straight.width / shown[0], straight.height / shown[1])
    region = tuple(edge * shrunk[i % 2] for i, edge in enumerate(box))
    resized = straight.resize(target, Image.Resampling.BICUBIC, box=region)
    scale = (target[0] / (box[2] - box[0]), target[1] / (box[3] - box[1]))
    return Photo(
        pixels=np.asarray(to_srgb(resized, profile)),
        original_size=(upright[1], upright[0]),
        scale=scale,
        offset=(-box[0] * scale[0], -box[1] * scale[1]),
        turned=turned,
    )


def _check_size(size: tuple[int, int], name: str, max_megapixels: float) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise PhotoError(name, f"{width}x{height} pixels are not a photo")
    if width * height > max_megapixels * 1e6:
        raise PhotoError(
            name,
            f"{width}x{height} are {width * height / 1e6:.1f} megapixels, more than the limit of "
            f"{max_megapixels:g} (--data.max-megapixels)",
        )


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns these upright by itself
    # Broken EXIF is common and no reason to lose a photo: it is then taken as upright.
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _swap(size: tuple[int, int]) -> tuple[int, int]:
    return size[1], size[0]
