import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stn_jax.data import synthetic
from stn_jax.data.synthetic import CLASSES, generate_photo

SIZE = (126, 189)


def shrunk(photo, factor):
    """Averages over whole blocks, in float64 so that only the photo's own rounding is left."""
    height, width = (side // factor * factor for side in photo.shape[:2])
    cut = photo[:height, :width].astype(np.float64)
    return cut.reshape(height // factor, factor, width // factor, factor, 3).mean((1, 3))


def lesion_statistics(photo, box):
    """Describes a lesion by its colours, contrasts, gradients and the profile of its edge."""
    x0, y0, x1, y1 = box
    rows = slice(max(0, int(y0) - 2), int(np.ceil(y1)) + 2)
    columns = slice(max(0, int(x0) - 2), int(np.ceil(x1)) + 2)
    found = []
    inner = photo[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
    for part in (photo[rows, columns], inner):
        centred = part - part.mean((0, 1))
        found += [part.mean((0, 1)), part.std((0, 1)), (centred**3).mean((0, 1))]
        found += [np.percentile(part, [5, 25, 50, 75, 95], axis=(0, 1)).ravel()]
        for axis in (0, 1):
            gradient = np.abs(np.diff(part, axis=axis))
            found += [gradient.mean((0, 1)), gradient.max((0, 1)), gradient.std((0, 1))]
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]] + 0.5
    radius = np.hypot((2 * y - y0 - y1) / (y1 - y0), (2 * x - x0 - x1) / (x1 - x0))
    rings = [radius < 0.5, *((radius >= at) & (radius < at + 0.2) for at in (0.5, 0.7, 0.9, 1.1))]
    profile = [photo[ring].mean(0) if ring.any() else photo.mean((0, 1)) for ring in rings]
    return np.concatenate([*found, *profile, *np.diff(profile, axis=0)])


def probe_accuracies(photos, factor):
    """Accuracy of two probes, cross-validated, on statistics of the shrunk photos."""
    values = np.stack(
        [lesion_statistics(shrunk(photo.photo, factor), photo.box / factor) for photo in photos]
    )
    labels = [photo.label for photo in photos]
    forest = RandomForestClassifier(60, min_samples_leaf=3, random_state=0)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    return {
        type(probe).__name__: cross_val_score(probe, values, labels, cv=4).mean()
        for probe in (forest, linear)
    }


@pytest.fixture(scope="module")
def photos():
    return [generate_photo(index, size=SIZE, seed=5) for index in range(300)]


def test_the_same_arguments_give_the_same_bytes_in_another_process():
    code = (
        "import hashlib; from stn_jax.data.synthetic import generate_photo as g;"
        "p = g(11, size=(126, 189), shrink=3, seed=4);"
        "print(hashlib.sha256(p.photo.tobytes() + p.box.tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    generate_photo(3, size=(64, 90), seed=9)  # what came before must not matter
    here = generate_photo(11, size=SIZE, shrink=3, seed=4)
    digest = hashlib.sha256(here.photo.tobytes() + here.box.tobytes()).hexdigest()
    assert elsewhere.stdout.strip() == digest


@pytest.mark.parametrize("changed", [{"index": 2}, {"seed": 1}, {"shrink": 2}])
def test_every_argument_matters(changed):
    arguments = {"index": 0, "seed": 0, "shrink": 3}
    a = generate_photo(**arguments, size=SIZE)
    b = generate_photo(**(arguments | changed), size=SIZE)
    assert not np.array_equal(a.photo, b.photo)


def test_labels_alternate_and_name_the_classes(photos):
    assert [photo.label for photo in photos[:4]] == [0, 1, 0, 1]
    assert CLASSES == ("scales", "vesicles")


@settings(max_examples=40, deadline=None)
@given(
    index=st.integers(0, 10**9),
    seed=st.integers(0, 2**40),
    height=st.integers(48, 200),
    width=st.integers(48, 200),
    shrink=st.integers(1, 5),
)
def test_any_size_gives_a_photo_with_its_lesion_inside(index, seed, height, width, shrink):
    photo, label, box = generate_photo(index, size=(height, width), shrink=shrink, seed=seed)
    assert photo.shape == (height, width, 3)
    assert photo.dtype == np.uint8
    assert label == index % 2
    x0, y0, x1, y1 = box
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


def test_lesions_have_the_stated_sizes_and_lie_anywhere(photos):
    boxes = np.stack([photo.box for photo in photos])
    sides = boxes[:, 2:] - boxes[:, :2]
    share = sides.prod(axis=1) / (SIZE[0] * SIZE[1])
    assert 0.0295 < share.min() < 0.034
    assert 0.105 < share.max() < 0.121
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / SIZE[::-1]
    assert np.all(centres.min(axis=0) < 0.2)
    assert np.all(centres.max(axis=0) > 0.8)


def test_size_box_redness_and_place_do_not_depend_on_the_class(photos):
    for of in (
        lambda photo: photo.box[2] - photo.box[0],
        lambda photo: photo.box[0],
        lambda photo: photo.photo.mean(),
    ):
        groups = [[of(photo) for photo in photos if photo.label == label] for label in (0, 1)]
        error = np.hypot(*(np.std(group) / np.sqrt(len(group)) for group in groups))
        assert abs(np.mean(groups[0]) - np.mean(groups[1])) < 3.5 * error


def test_the_lesion_fills_its_box():
    for index in range(10):
        scales, vesicles = (
            synthetic._render(label, index, size=SIZE, shrink=3, seed=0) for label in (0, 1)
        )
        np.testing.assert_array_equal(scales.box, vesicles.box)
        differs = np.abs(scales.photo.astype(int) - vesicles.photo).max(axis=-1) > 25
        rows, columns = np.nonzero(differs.any(axis=1))[0], np.nonzero(differs.any(axis=0))[0]
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(found, scales.box, atol=5)


@pytest.mark.parametrize(("size", "shrink"), [(SIZE, 3), ((100, 151), 2), ((210, 315), 5)])
def test_both_classes_of_one_photo_are_equal_when_shrunk(size, shrink):
    for index in range(12):
        scales, vesicles = (
            synthetic._render(label, index, size=size, shrink=shrink, seed=1).photo
            for label in (0, 1)
        )
        full = np.abs(scales.astype(int) - vesicles)
        small = np.abs(shrunk(scales, shrink) - shrunk(vesicles, shrink))
        assert full.max() > 60
        assert small.max() <= 1  # only the rounding to whole grey levels
        assert small[small > 0].mean() < 0.35


def test_a_probe_finds_the_class_at_full_resolution_only(photos):
    for name, accuracy in probe_accuracies(photos, 1).items():
        assert accuracy > 0.97, name
    for factor in (3, 6):
        for name, accuracy in probe_accuracies(photos, factor).items():
            assert accuracy < 0.62, (name, factor)


def test_skipping_pixels_leaks_the_class(photos):
    skipped = [photo._replace(photo=photo.photo[1::3, 1::3], box=photo.box / 3) for photo in photos]
    assert min(probe_accuracies(skipped, 1).values()) > 0.8


def test_the_texture_is_strong_enough_to_see(photos):
    strengths = []
    for photo in photos:
        x0, y0, x1, y1 = photo.box.astype(int)
        qx, qy = (x1 - x0) // 4, (y1 - y0) // 4
        inner = photo.photo[y0 + qy : y1 - qy, x0 + qx : x1 - qx, 1].astype(float)
        height, width = (side // 3 * 3 for side in inner.shape)
        blocks = inner[:height, :width].reshape(height // 3, 3, width // 3, 3)
        detail = blocks - blocks.mean(axis=(1, 3), keepdims=True)
        strengths.append(detail.std())
    assert min(strengths) > 12
    assert np.median(strengths) > 35


def test_photos_do_not_saturate(photos):
    saturated = [np.mean((photo.photo == 0) | (photo.photo == 255)) for photo in photos]
    assert np.mean(saturated) < 0.01


def test_photos_differ_in_tone_as_people_do(photos):
    tones = [np.median(photo.photo[..., 1]) for photo in photos]
    assert min(tones) < 120
    assert max(tones) > 165


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "index -1"),
        ({"seed": -3}, "seed -3"),
        ({"shrink": 0}, "shrink 0"),
        ({"size": (20, 189)}, "size 20x189 .* at least 24 pixels"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate_photo(**({"index": 0, "seed": 0, "size": SIZE, "shrink": 3} | arguments))
