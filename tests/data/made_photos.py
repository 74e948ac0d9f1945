"""Photos that the tests make for themselves."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def make_pixels(seed: int, size: tuple[int, int] = (60, 90)) -> np.ndarray:
    """A picture unlike that of any other seed: coarse random colours under fine noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(20, 236, (6, 8, 3)).astype(np.uint8))
    smooth = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    """The content of an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encode_png(values: np.ndarray, *, bits: int, color_type: int) -> bytes:
    """A PNG of kinds that Pillow does not write, from rows of packed bytes or 16-bit numbers."""
    height, width = values.shape[:2]
    if bits == 16:
        rows = values.astype(">u2").tobytes()
    else:
        rows, width = values.astype(np.uint8).tobytes(), width * 8 // bits
    stride = len(rows) // height
    raw = b"".join(b"\0" + rows[at : at + stride] for at in range(0, len(rows), stride))
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
