"""Photos as records that TensorFlow Datasets reads: `tf.train.Example`, in protobuf's wire format.

TFDS's own serializer copies the pixels four times, and takes longer to import than all else that a
process needs to import photos. What is needed of the format is a few lines.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8

Chunks = list[bytes | memoryview]

# Numbers of the fields of Example, of Features, of an entry of its map, and of every list.
_FEATURES = _FEATURE = _KEY = _VALUES = 1
_VALUE = 2
# Those of Feature: its kinds.
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
_LENGTH_DELIMITED = 2
"""How all fields that are needed here are written: a length, then so many bytes."""


def encode_record(
    pixels: UInt8[np.ndarray, "height width 3"],
    *,
    label: int,
    box: Float[np.ndarray, "4"] | Sequence[float],
    texts: Mapping[str, str],
) -> bytes:
    """Encodes a photo with its label, its box, and texts by name."""
    features = [
        *_feature("photo/shape", _INTEGERS, [_varints(pixels.shape)]),
        *_feature("photo/value", _BYTES, [np.ravel(pixels).data]),
        *_feature("label", _INTEGERS, [_varints([label])]),
        *_feature("box", _FLOATS, [np.asarray(box, "<f4").tobytes()]),
    ]
    for name, text in texts.items():
        features += _feature(name, _BYTES, [text.encode()])
    return b"".join(_field(_FEATURES, features))


def _feature(name: str, kind: int, values: Chunks) -> Chunks:
    feature = _field(kind, _field(_VALUES, values))
    return _field(_FEATURE, [*_field(_KEY, [name.encode()]), *_field(_VALUE, feature)])


def _field(number: int, content: Chunks) -> Chunks:
    return [_varints([number << 3 | _LENGTH_DELIMITED, sum(map(len, content))]), *content]


def _varints(values: Sequence[int]) -> bytes:
    """Integers, none negative: seven bits a byte, the lowest first, and a bit for "goes on"."""
    written = bytearray()
    for value in values:
        while value > 0x7F:
            written.append(value & 0x7F | 0x80)
            value >>= 7
        written.append(value)
    return bytes(written)
