"""One photo, safely: from a file or bytes to upright RGB pixels of the configured size.

Import, prediction, the web page and evaluation all come through `load_photo`, so training and
serving cannot disagree by a pixel.
"""

from stn_jax.data.photo.colors import Pixels, to_image
from stn_jax.data.photo.formats import HEIC_SUPPORTED
from stn_jax.data.photo.loading import load_photo, load_unpadded, read_bytes
from stn_jax.data.photo.options import photo_options
from stn_jax.data.photo.placing import Fit, Photo, pad, padding
from stn_jax.data.photo.refusals import PhotoError, PhotoMemoryError, PhotoUnreadableError

__all__ = [
    "HEIC_SUPPORTED",
    "Fit",
    "Photo",
    "PhotoError",
    "PhotoMemoryError",
    "PhotoUnreadableError",
    "Pixels",
    "load_photo",
    "load_unpadded",
    "pad",
    "padding",
    "photo_options",
    "read_bytes",
    "to_image",
]
