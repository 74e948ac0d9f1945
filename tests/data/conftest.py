"""Photos and folders that the tests make for themselves."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of distinct photos: make_folder({"a": 3, "b": 4}) -> its path."""

    def make(counts: dict[str, int], root: Path = tmp_path / "photos", *, first: int = 0) -> Path:
        seed = first
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (root / folder / f"{number:03d}.png").write_bytes(encode(make_pixels(seed)))
                seed += 1
        return root

    return make
