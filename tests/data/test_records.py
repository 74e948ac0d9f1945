"""Records are what TensorFlow Datasets would have written."""

import math

import numpy as np
import tensorflow_datasets as tfds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stn_jax.data.builder import make_features
from stn_jax.data.records import encode_record

FEATURES = make_features()
SERIALIZER = tfds.core.example_serializer.ExampleSerializer(FEATURES.get_serialized_info())
PARSER = tfds.core.example_parser.ExampleParserNp(FEATURES.get_serialized_info())
TEXTS = ("file", "group", "metadata")


def as_tfds_would(pixels, label, box, texts):
    values = {"photo": pixels, "label": label, "box": np.asarray(box, np.float32), **texts}
    return SERIALIZER.get_tf_example(FEATURES.encode_example(values))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    label=st.integers(0, 2**63 - 1),
    box=st.tuples(*[st.floats(width=32)] * 4),
    texts=st.fixed_dictionaries({name: st.text() for name in TEXTS}),
)
@example(630, 945, 127, (math.nan,) * 4, {"file": "ä/ö\n.jpg", "group": "", "metadata": "x" * 300})
@example(1, 20000, 128, (0.0, -1.5, 1e-40, math.inf), dict.fromkeys(TEXTS, ""))
def test_a_record_says_what_tfds_would_say(height, width, label, box, texts):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    record = encode_record(pixels, label=label, box=box, texts=texts)
    expected = as_tfds_would(pixels, label, box, texts)
    found = type(expected).FromString(record)
    assert found.SerializeToString(deterministic=True) == expected.SerializeToString(
        deterministic=True
    )
    read = FEATURES.decode_example_np(PARSER.parse_example(record))
    np.testing.assert_array_equal(read["photo"], pixels)
    np.testing.assert_array_equal(read["box"], np.float32(box))
    assert read["label"] == label
    assert {name: read[name].decode() for name in TEXTS} == texts


def test_pixels_of_any_layout_are_written_in_order():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    texts = dict.fromkeys(TEXTS, "")
    plain = encode_record(pixels, label=0, box=(0.0,) * 4, texts=texts)
    turned = np.asfortranarray(pixels)
    assert encode_record(turned, label=0, box=(0.0,) * 4, texts=texts) == plain
