"""Why a photo cannot be used, in words for whoever has it."""

from collections.abc import Callable

from PIL import Image

from stn_jax.data.errors import DataError
from stn_jax.data.photo.formats import HEIC_SUPPORTED


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


class PhotoUnreadableError(PhotoError):
    """One photo whose file the system does not let us read, which may be otherwise later."""


def reason_of(error: Exception, content: bytes) -> str:
    """What a decoder's error says of the file, looking at its first bytes."""
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
_NO_HEIC = "HEIC, which is not read here: save it as JPEG (or pip install pillow-heif)"
_LOOKALIKES = (
    (lambda content: b"<svg" in content.lower(), "an SVG drawing, not a photo"),
    (_starts(b"<!doctype html", b"<html"), "a web page (HTML), not a photo"),
    (_starts(b"%pdf"), "a PDF document: save its photos as JPEG or PNG"),
    (_is_heic, _CUT_OFF if HEIC_SUPPORTED else _NO_HEIC),
    (_starts(b"\xff\xd8\xff", b"\x89png", b"gif8"), _CUT_OFF),
    (_starts(b"ii*\0", b"mm\0*"), f"{_CUT_OFF}, or a rare kind of TIFF: save it as PNG"),
    (_is_text, "text, not a photo"),
)
