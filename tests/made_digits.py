"""Files of digits that tests make."""

import struct

import numpy as np


def idx(values: np.ndarray) -> bytes:
    """An array of bytes in the format of MNIST's files."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()
