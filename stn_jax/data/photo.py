"""One photo, safely: from a file or bytes to upright RGB pixels of the configured size.

This is the only place in the project that opens an image. Import, prediction, the web page and
evaluation all come through `load_photo`, so training and serving cannot disagree by a pixel.
"""

import dataclasses
import io
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import ExifTags, Image, ImageChops, ImageCms

from stn_jax.data.errors import DataError
from stn_jax.data.jpeg import count_scans

try:
    import pillow_heif
except ImportError:
    HEIC_SUPPORTED = False
else:
    pillow_heif.register_heif_opener()
    HEIC_SUPPORTED = True

Fit = Literal["pad", "crop", "stretch"]
Pixels = UInt8[np.ndarray, "height width 3"]

# JPEG includes MPO, which many phones write into a .jpg: further pictures behind the first.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", *(("HEIF",) * HEIC_SUPPORTED))
BACKGROUND = 255
"""What shows through transparent pixels: white."""
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
_SIXTEEN_TO_EIGHT = np.rint(np.arange(1 << 16) / 257).astype(np.uint8)
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SRGB = ImageCms.createProfile("sRGB")
# Pillow loads rarer decoders when a file needs them, but not when formats are named.
Image.init()
# Pillow warns of photos from half its own limit on; ours is `max_megapixels`.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PhotoError(DataError):
    """One photo that cannot be used; the message holds its name and the reason.

    Attributes:
      name: the file, as the caller named it.
      reason: why it was refused, without the name.
    """

    def __init__(self, name: str, reason: str):
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self):
        return type(self), (self.name, self.reason)


class PhotoMemoryError(PhotoError):
    """One photo that can be used where there is more memory."""


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo at the configured size, and the way back to the file it came from.

    Attributes:
      pixels: uint8, 0..255, height x width x channel: RGB, or grey.
      original_size: (height, width) of the upright photo (EXIF orientation applied) in its file.
      scale: (x, y): pixels here for one pixel of the upright photo, after `turned`.
      offset: (x, y): where the upright photo's left upper corner lies here, after `turned`;
        positive with `fit=pad`, negative with `fit=crop`.
      turned: the upright photo was turned a quarter counter-clockwise to fit (`rotate_to_fit`).
    """

    pixels: UInt8[np.ndarray, "height width channel"]
    original_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    turned: bool

    def to_original(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Maps (x, y) positions in `pixels` to positions in the upright photo of the file.

        Args:
          points: continuous positions; (0, 0) is the outer corner of the first pixel.
        """
        there = (np.asarray(points, np.float64) - self.offset) / self.scale
        if self.turned:
            x, y = there[..., 0], there[..., 1]
            there = np.stack([self.original_size[1] - y, x], axis=-1)
        return there


def load_photo(
    source: str | os.PathLike | bytes,
    *,
    size: tuple[int, int],
    name: str | None = None,
    fit: Fit = "pad",
    rotate_to_fit: bool = False,
    fill_color: tuple[float, ...] = (127.5, 127.5, 127.5),
    max_megapixels: float = 64.0,
    max_file_bytes: float = 64e6,
) -> Photo:
    """Reads one photo: upright, RGB or grey, 8 bits, at `size`.

    Args:
      source: a path, or the content of a file.
      size: height and width of the result, in pixels.
      name: what to call the photo in errors; the path where not given.
      fit: keep the aspect and pad with `fill_color`, keep it and cut what is over, or distort.
      rotate_to_fit: turn a portrait photo by a quarter when `size` is landscape, and the reverse.
      fill_color: RGB, 0..255, rounded to whole levels; the data set's mean colour. With a grey
        one, of a single number, the photo becomes grey, too.
      max_megapixels: refuse photos of more pixels, before decoding any.
      max_file_bytes: refuse larger files, before reading them.

    Raises:
      PhotoError: naming the file and why it cannot be used.
    """
    photo = load_unpadded(
        source,
        size=size,
        name=name,
        fit=fit,
        rotate_to_fit=rotate_to_fit,
        max_megapixels=max_megapixels,
        max_file_bytes=max_file_bytes,
    )
    if len(fill_color) == 1:
        photo = dataclasses.replace(photo, pixels=_to_grey(photo.pixels))
    if photo.pixels.shape[:2] == tuple(size):
        return photo
    top, left = padding(photo.pixels.shape[:2], size)
    return dataclasses.replace(
        photo,
        pixels=pad(photo.pixels, size, fill_color),
        offset=(photo.offset[0] + left, photo.offset[1] + top),
    )


def load_unpadded(
    source: str | os.PathLike | bytes,
    *,
    size: tuple[int, int],
    name: str | None = None,
    fit: Fit = "pad",
    rotate_to_fit: bool = False,
    max_megapixels: float = 64.0,
    max_file_bytes: float = 64e6,
) -> Photo:
    """Reads one photo as `load_photo` does, but without the padding of `fit=pad`.

    The prepared data set stores this and pads when a record is read, because the fill colour is
    the mean of the training photos, known only after all of them have been read.

    Raises:
      PhotoError: naming the file and why it cannot be used.
    """
    name = name if name is not None else _name_of(source)
    content = read_bytes(source, name=name, max_file_bytes=max_file_bytes)
    try:
        return _decode(content, name, size, fit, rotate_to_fit, max_megapixels)
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoMemoryError(name, "not enough memory to read it") from error
    # A decoder can fail in any way on a hostile or broken file; whatever it was, it concerns
    # this photo only and must not end an import or a request.
    except Exception as error:
        raise PhotoError(name, _reason(error, content)) from error


def read_bytes(source: str | os.PathLike | bytes, *, name: str, max_file_bytes: float) -> bytes:
    """Reads a file whole, after looking at its size.

    Raises:
      PhotoError: for an empty, unreadable or too large file.
    """
    try:
        length = len(source) if isinstance(source, bytes) else _length_of(source, name)
        if length > max_file_bytes:
            raise PhotoError(
                name,
                f"{length / 1e6:.1f} MB is more than the limit of {max_file_bytes / 1e6:g} MB "
                "(--data.max-file-megabytes)",
            )
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise PhotoError(name, f"cannot be read ({error.strerror})") from error
    if not content:
        raise PhotoError(name, "the file is empty")
    return content


def _length_of(path: str | os.PathLike, name: str) -> int:
    found = os.stat(path)
    # Reading a named pipe would wait for ever.
    if not stat.S_ISREG(found.st_mode):
        raise PhotoError(name, "not a file")
    return found.st_size


def pad(
    pixels: UInt8[np.ndarray, "height width channel"],
    size: tuple[int, int],
    fill_color: tuple[float, ...],
) -> UInt8[np.ndarray, "padded_height padded_width channel"]:
    """Centres `pixels` in a field of `fill_color` (0..255, rounded) of the given size."""
    height, width = pixels.shape[:2]
    top, left = padding((height, width), size)
    field = np.empty((*size, pixels.shape[2]), np.uint8)
    color = np.rint(fill_color).astype(np.uint8)
    field[:top] = field[top + height :] = color
    field[top : top + height, :left] = field[top : top + height, left + width :] = color
    field[top : top + height, left : left + width] = pixels
    return field


def to_image(pixels: Shaped[np.ndarray, "height width channel"]) -> Image.Image:
    """Pixels, RGB or of one channel, as Pillow takes them."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def padding(inner: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Rows above and columns left of a photo of size `inner` centred in `size`."""
    return (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2


def _decode(
    content: bytes,
    name: str,
    size: tuple[int, int],
    fit: Fit,
    rotate_to_fit: bool,
    max_megapixels: float,
) -> Photo:
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
        box, target = _placement(shown, size, fit)
        # JPEG can be decoded at 1/2, 1/4 or 1/8: worth it for very large files only, with twice
        # the needed pixels left for the filter that does the rest.
        enough = _swap(target) if turned != (orientation in _SWAPS_SIDES) else target
        image.draft(None, (2 * enough[0], 2 * enough[1]))
        image.load()
        straight = _eight_bits(image, name)
        profile = image.info.get("icc_profile")
    for turn in (_UPRIGHT.get(orientation), Image.Transpose.ROTATE_90 if turned else None):
        if turn is not None:
            straight = straight.transpose(turn)
    shrunk = (straight.width / shown[0], straight.height / shown[1])
    region = tuple(edge * shrunk[i % 2] for i, edge in enumerate(box))
    resized = straight.resize(target, Image.Resampling.BICUBIC, box=region)
    scale = (target[0] / (box[2] - box[0]), target[1] / (box[3] - box[1]))
    return Photo(
        pixels=np.asarray(_to_srgb(resized, profile)),
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


def _placement(
    shown: tuple[int, int], size: tuple[int, int], fit: Fit
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Part of the photo to use, as (left, top, right, bottom), and the (width, height) it gets."""
    width, height = shown
    whole = (0.0, 0.0, float(width), float(height))
    wanted = (size[1], size[0])
    if fit == "stretch":
        return whole, wanted
    factors = (wanted[0] / width, wanted[1] / height)
    if fit == "pad":
        factor = min(factors)
        inner = tuple(
            min(limit, max(1, round(side * factor)))
            for side, limit in zip(shown, wanted, strict=True)
        )
        return whole, inner
    factor = max(factors)
    cut = (min(width, wanted[0] / factor), min(height, wanted[1] / factor))
    left, top = (width - cut[0]) / 2, (height - cut[1]) / 2
    return (left, top, left + cut[0], top + cut[1]), wanted


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns these upright by itself
    # Broken EXIF is common and no reason to lose a photo: it is then taken as upright.
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
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


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
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


def _to_grey(pixels: Pixels) -> UInt8[np.ndarray, "height width 1"]:
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def _swap(size: tuple[int, int]) -> tuple[int, int]:
    return size[1], size[0]


def _name_of(source: str | os.PathLike | bytes) -> str:
    return "photo" if isinstance(source, bytes) else os.fspath(source)


def _reason(error: Exception, content: bytes) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "far more pixels than any camera makes (--data.max-megapixels)"
    if isinstance(error, Image.UnidentifiedImageError):
        return next((text for is_it, text in _LOOKALIKES if is_it(content[:512])), _UNKNOWN)
    said = " ".join(str(error).split())
    if any(words in said.lower() for words in _SAID_OF_CUT_OFF):
        return _CUT_OFF
    return f"damaged or not a photo ({type(error).__name__}: {said})"


def _starts(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(heads)


def _is_heic(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in (
        b"heic",
        b"heix",
        b"mif1",
        b"msf1",
        b"hevc",
    )


def _is_text(content: bytes) -> bool:
    return all(9 <= byte <= 126 for byte in content[:256])


_CUT_OFF = "the file is cut off or damaged"
# By Pillow; by its WebP decoder, which says so of any damage; by pillow-heif.
_SAID_OF_CUT_OFF = ("truncated", "could not create decoder object", "unexpected end of file")
_UNKNOWN = "not a photo, or of a kind that cannot be read (JPEG, PNG, WebP, TIFF, BMP and GIF can)"
_NO_HEIC = "HEIC needs pillow-heif (pip install pillow-heif), or save it as JPEG"
_LOOKALIKES = (
    (lambda content: b"<svg" in content.lower(), "an SVG drawing, not a photo"),
    (_starts(b"<!doctype html", b"<html"), "a web page (HTML), not a photo"),
    (_starts(b"%pdf"), "a PDF document: save its photos as JPEG or PNG"),
    (_is_heic, _CUT_OFF if HEIC_SUPPORTED else _NO_HEIC),
    (_starts(b"\xff\xd8\xff", b"\x89png", b"gif8"), _CUT_OFF),
    (_starts(b"ii*\0", b"mm\0*"), f"{_CUT_OFF}, or a rare kind of TIFF: save it as PNG"),
    (_is_text, "text, not a photo"),
)
