"""Whatever a file's pixels mean, as 8 bits of RGB or grey."""

import io
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageChops, ImageCms

from stn_jax.data.photo.refusals import PhotoError

Pixels = UInt8[np.ndarray, "height width 3"]

BACKGROUND = 255
"""What shows through transparent pixels: white."""
_SIXTEEN_TO_EIGHT = np.rint(np.arange(1 << 16) / 257).astype(np.uint8)
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SRGB = ImageCms.createProfile("sRGB")


def eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Brings any mode to L, RGB or CMYK with 8 bits a channel, transparency laid over white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        straight = _from_sixteen_bits(np.asarray(image), image.info.get("transparency"), name)
        # Of TIFF's two ways around, Pillow knows the one with 8 bits alone.
        negative = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return ImageChops.invert(straight) if negative else straight
    if image.mode == "F":
        raise PhotoError(name, "floating-point pixels have no agreed range: save it as 8 or 16 bit")
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for Adobe's inverted kind; without the marker it is not.
        return ImageChops.invert(image)
    if image.mode in ("LA", "La") or (image.mode in ("1", "L") and "transparency" in image.info):
        return _over_background(image.convert("LA"), "L")
    if image.mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _over_background(image.convert("RGBA"), "RGB")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_sixteen_bits(values: np.ndarray, transparent: Any, name: str) -> Image.Image:
    if values.min() < 0 or values.max() > 0xFFFF:
        raise PhotoError(name, "32-bit pixels have no agreed range: save it as 8 or 16 bit")
    pixels = _SIXTEEN_TO_EIGHT[values]
    if isinstance(transparent, int):  # the level of a PNG that shows what is behind
        pixels[values == transparent] = BACKGROUND
    return Image.fromarray(pixels)


def _over_background(image: Image.Image, mode: str) -> Image.Image:
    background = Image.new(mode, image.size, (BACKGROUND,) * len(mode))
    background.paste(image.convert(mode), mask=image.getchannel("A"))
    return background


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Brings 8 bits of any colour space to sRGB; a profile that cannot be used is ignored."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if not ImageCms.getProfileDescription(source).startswith("sRGB"):
                converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
                if converted is not None:
                    return converted
        except (OSError, ImageCms.PyCMSError):
            # A damaged profile, or one for another kind of pixels: every viewer ignores it too.
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def to_grey(pixels: Pixels) -> UInt8[np.ndarray, "height width 1"]:
    """Brings RGB to one channel."""
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def to_image(pixels: Shaped[np.ndarray, "height width channel"]) -> Image.Image:
    """Pixels, RGB or of one channel, as Pillow takes them."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
