"""Generated lesions of sixteen kinds: what is promised of each property."""

import numpy as np
import pytest

from stn_jax.config import DataConfig, SyntheticConfig, load, read_file
from stn_jax.data import lesions
from stn_jax.data.builder import prepare
from stn_jax.data.lesions import CLASSES, generate_photo

SIZE = (72, 96)


def test_the_same_arguments_give_the_same_photo_and_other_numbers_other_photos():
    first, again, other = (generate_photo(i, size=SIZE, seed=3) for i in (5, 5, 21))
    np.testing.assert_array_equal(first.photo, again.photo)
    assert first.label == other.label == 5
    assert (first.photo != other.photo).any()
    assert first.photo.shape == (*SIZE, 3)
    assert first.photo.dtype == np.uint8


def test_kinds_are_all_combinations_of_four_properties():
    assert len(set(CLASSES)) == 16
    assert CLASSES[0] == "regular-sharp-plain-even"
    assert CLASSES[15] == "irregular-soft-colourful-structured"


def middle(made):
    """The half of the lesion's box about its centre."""
    x0, y0, x1, y1 = made.box
    rows = slice(int((3 * y0 + y1) / 4), int((y0 + 3 * y1) / 4) + 1)
    columns = slice(int((3 * x0 + x1) / 4), int((x0 + 3 * x1) / 4) + 1)
    return made.photo[rows, columns].astype(float)


def medians(measure, *, bit, count=40):
    """A measure's median without and with one property, all else regular, sharp, plain and even."""
    return [
        np.median(
            [measure(generate_photo(16 * i + label, size=SIZE, seed=0)) for i in range(count)]
        )
        for label in (0, 1 << bit)
    ]


def test_structured_lesions_vary_more_from_pixel_to_pixel():
    def roughness(made):
        return np.abs(np.diff(middle(made), axis=0)).mean()

    even, structured = medians(roughness, bit=0)
    assert structured > 1.5 * even


def test_colourful_lesions_vary_more_in_colour():
    def spread(made):
        return np.sqrt(middle(made).var(axis=(0, 1)).sum())

    plain, colourful = medians(spread, bit=1)
    assert colourful > 1.5 * plain


def test_soft_lesions_have_a_wider_border():
    def border(made):
        grey = made.photo.astype(float).mean(axis=2)
        depth = (grey - np.median(grey[[0, -1]])) / (
            np.median(middle(made)) - np.median(grey[[0, -1]])
        )
        return ((depth > 0.2) & (depth < 0.8)).sum() / np.sqrt(np.prod(made.box[2:] - made.box[:2]))

    sharp, soft = medians(border, bit=2)
    assert soft > 1.2 * sharp


def test_irregular_outlines_are_longer_than_their_ellipse():
    def waves(*, irregular):
        shapes = (
            lesions._draw_shape(np.random.default_rng(i), SIZE, irregular=irregular)
            for i in range(40)
        )
        return np.median([np.abs(np.diff(shape.outline)).sum() for shape in shapes])

    assert waves(irregular=True) > 3 * waves(irregular=False)


def test_the_box_lies_in_the_photo():
    made = generate_photo(8, size=SIZE, seed=1)
    x0, y0, x1, y1 = made.box
    assert 0 <= x0 < x1 <= SIZE[1]
    assert 0 <= y0 < y1 <= SIZE[0]


@pytest.mark.parametrize(
    ("index", "size", "seed"), [(-1, SIZE, 0), (0, SIZE, -1), (0, (15, 96), 0)]
)
def test_impossible_arguments_are_refused(index, size, seed):
    with pytest.raises(ValueError, match=r"negative|16 pixels"):
        generate_photo(index, size=size, seed=seed)


def test_the_kind_decides_what_a_data_set_holds(tmp_path):
    made = SyntheticConfig(kind="lesions", train=32, val=16, test=16)
    dataset = prepare(
        DataConfig(source="synthetic", photo_size=SIZE, synthetic=made, cache_dir=str(tmp_path))
    )
    assert dataset.name == "SYNTHETIC"
    assert dataset.classes == CLASSES
    first = generate_photo(0, size=SIZE, seed=0)
    np.testing.assert_array_equal(dataset.splits["train"][0]["photo"], first.photo)


def test_isic2016_can_start_from_what_lesions_leaves():
    pretraining = load("configs/lesions.py")
    isic2016 = read_file("configs/isic2016.py")(init_from="runs/lesions")
    assert isic2016.model == pretraining.model
    assert isic2016.data.photo_size == pretraining.data.photo_size
    assert isic2016.train.init_from == "runs/lesions"
