"""Generated lesions of sixteen kinds: what is promised of each property."""

import numpy as np
import pytest

from stn_jax.config import DataConfig, SyntheticConfig, load, read_file
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


def test_structured_lesions_vary_more_from_pixel_to_pixel():
    def roughness(i):
        made = generate_photo(i, size=SIZE, seed=0)
        x0, y0, x1, y1 = made.box.astype(int)
        inner = made.photo[(3 * y0 + y1) // 4 : (y0 + 3 * y1) // 4, (3 * x0 + x1) // 4 :]
        inner = inner[:, : (x1 - x0) // 2].astype(float)
        return np.abs(np.diff(inner, axis=0)).mean()

    values = np.array([roughness(i) for i in range(160)])
    assert np.median(values[1::2]) > 1.5 * np.median(values[0::2])


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
    lesions = load("configs/lesions.py")
    isic2016 = read_file("configs/isic2016.py")(init_from="runs/lesions")
    assert isic2016.model == lesions.model
    assert isic2016.data.photo_size == lesions.data.photo_size
    assert isic2016.train.init_from == "runs/lesions"
