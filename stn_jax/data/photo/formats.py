"""Which kinds of files are read, and Pillow told so."""

import warnings

from PIL import Image

try:
    import pillow_heif
except ImportError:
    HEIC_SUPPORTED = False
else:
    pillow_heif.register_heif_opener()
    HEIC_SUPPORTED = True

# JPEG includes MPO, which many phones write into a .jpg: further pictures behind the first.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", *(("HEIF",) * HEIC_SUPPORTED))

# Pillow loads rarer decoders when a file needs them, but not when formats are named.
Image.init()
# Pillow warns of photos from half its own limit on; ours is `max_megapixels`.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
