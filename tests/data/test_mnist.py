import dataclasses
import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_digits import idx

from stn_jax.config import DataConfig, MnistConfig
from stn_jax.data.builder import DataError, prepare, resolve_source
from stn_jax.data.mnist import SIZES, distort
from stn_jax.data.pipeline import eval_batches, train_dataset

TASKS = sorted(SIZES)


def bar(count):
    """Digits that are a vertical bar in the middle, bright at its upper end."""
    digits = np.zeros((count, 28, 28), np.uint8)
    digits[:, 6:22, 12:16] = 120
    digits[:, 6:10, 12:16] = 255
    return digits


@pytest.fixture
def root(tmp_path):
    """A small MNIST whose pixels tell the digits apart; one file is compressed."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 200), ("t10k", 50)):
        labels = np.arange(count) % 10
        digits = rng.integers(0, 256, (count, 28, 28)) * (rng.random((count, 28, 28)) < 0.2)
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(digits)))
    return tmp_path


def configure(root, task="RTS", **options):
    return DataConfig(
        source="mnist",
        root=str(root),
        photo_size=SIZES[task],
        mnist=MnistConfig(task=task),
        **options,
    )


def warped(task, count=256, seed=0, clutter=None):
    clutter = np.zeros((3, 28, 28), np.uint8) if clutter is None else clutter
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(distort(keys, jnp.asarray(bar(count)), jnp.asarray(clutter), task=task))[
        ..., 0
    ]


def centroids(images):
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]] + 0.5
    weight = images.astype(float)
    mass = weight.sum((1, 2))
    return (weight * columns).sum((1, 2)) / mass, (weight * rows).sum((1, 2)) / mass


def angles(images):
    """Degrees by which the bright end of the bar is turned from straight up."""
    x, y = centroids(images)
    bright_x, bright_y = centroids(np.where(images > 190, images, 0))
    return np.rad2deg(np.arctan2(bright_x - x, y - bright_y))


@pytest.mark.parametrize("task", TASKS)
def test_images_have_the_tasks_size_and_depend_on_their_keys_alone(task):
    images = warped(task)
    assert images.shape == (256, *SIZES[task])
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, warped(task))
    assert not np.array_equal(images, warped(task, seed=1))
    assert len({image.tobytes() for image in images}) > 200
    assert (images.max(axis=(1, 2)) > 0).all()


def test_rotation_is_uniform_to_a_right_angle_either_way():
    found = angles(warped("R"))
    assert 80 < found.max() < 93
    assert -93 < found.min() < -80
    assert abs(np.mean(found)) < 12
    assert np.std(found) == pytest.approx(180 / np.sqrt(12), rel=0.12)


def test_rts_turns_scales_and_places_the_whole_digit():
    images = warped("RTS")
    found = angles(images)
    assert 38 < found.max() < 50
    assert -50 < found.min() < -38
    area = images.astype(float).sum((1, 2)) / bar(1).astype(float).sum()
    assert 0.7**2 - 0.05 < area.min() < 0.6
    assert 1.3 < area.max() < 1.2**2 + 0.08
    x, y = centroids(images)
    for place in (x, y):
        assert place.min() < 16
        assert place.max() > 26
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    assert max(edge.max() for edge in edges) == 0


def test_projection_and_spline_bend_the_digit_but_keep_it_near():
    for task in ("P", "E"):
        images = warped(task)
        x, y = centroids(images)
        assert abs(np.mean(x) - 14) < 1
        assert abs(np.mean(y) - 13.3) < 1.2
        assert 0.15 < np.std(x) < 1.2
        assert 0.5 < np.std(y) < 1.5
        area = images.astype(float).sum((1, 2)) / bar(1).astype(float).sum()
        assert 0.55 < np.median(area) < 0.95


def test_projection_moves_corners_along_the_diagonals():
    line = np.eye(28, dtype=np.uint8) * 255
    beside = np.subtract.outer(np.arange(28), np.arange(28))
    keys = jax.random.split(jax.random.key(2), 200)
    nothing = np.zeros((1, 28, 28), np.uint8)
    for flip in (1, -1):
        digits = jnp.asarray(np.broadcast_to(line[:, ::flip], (200, 28, 28)))
        images = np.asarray(distort(keys, digits, nothing, task="P"), float)[..., ::flip, 0]
        # The line stays where it was, and ends where the corner has gone, as far as that is seen.
        assert np.abs((images * beside).sum((1, 2)) / images.sum((1, 2))).max() < 0.2
        length = np.sqrt(2) * (np.einsum("bii->bi", images)[:, 14:] > 60).sum(axis=1)
        assert 3.5 < np.std(length) < 5


def test_clutter_is_six_patches_of_other_digits_that_never_erase_the_digit():
    digits = bar(1)
    alone = warped("TC")
    cluttered = warped("TC", clutter=np.full((3, 28, 28), 200, np.uint8))
    assert (alone.astype(int).sum((1, 2)) == digits[0].astype(int).sum()).all()
    assert (cluttered >= alone).all()
    added = (cluttered == 200).sum((1, 2))
    assert 4 * 36 < np.mean(added) < added.max() == 6 * 36


def test_digits_and_clutter_are_placed_anywhere():
    alone = warped("TC").any(axis=0)
    bar_rows, bar_columns = (np.flatnonzero(alone.any(axis=axis)) for axis in (1, 0))
    # The bar is in rows 6 to 21 and columns 12 to 15 of the digit's 28, which has 33 places.
    assert (bar_rows[0], bar_rows[-1]) == (6, 21 + 32)
    assert (bar_columns[0], bar_columns[-1]) == (12, 15 + 32)
    cluttered = warped("TC", clutter=np.full((3, 28, 28), 200, np.uint8)) == 200
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        assert cluttered[edge].any()
        clutter = np.zeros((3, 28, 28), np.uint8)
        clutter[edge] = 200
        assert (warped("TC", clutter=clutter) == 200).any()  # patches are from every edge, too


def test_another_seed_distorts_the_test_otherwise(root):
    photos = [
        prepare(dataclasses.replace(configure(root), mnist=MnistConfig(seed=seed))).splits["test"][
            3
        ]
        for seed in (0, 0, 1, 2**63 - 1)
    ]
    same, again, other, largest = (photo["photo"] for photo in photos)
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)
    assert not np.array_equal(same, largest)


def test_training_digits_change_with_the_step_and_tests_do_not(root):
    splits = prepare(configure(root)).splits
    dataset = train_dataset(splits["train"], batch_size=8, seed=3)
    batch = dataset[4]
    assert batch["photo"].shape == (8, 42, 42, 1)
    np.testing.assert_array_equal(batch["label"], splits["train"].labels[batch["index"]])
    np.testing.assert_array_equal(dataset[4]["photo"], batch["photo"])
    other = splits["train"].make_batch(batch["index"], 5)
    assert not np.array_equal(other["photo"], batch["photo"])
    first, again = (
        [b["photo"] for b in eval_batches(prepare(configure(root)).splits["test"], batch_size=20)]
        for _ in range(2)
    )
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))


def test_hosts_make_their_parts_of_the_same_batch(root):
    split = prepare(configure(root)).splits["train"]
    whole = train_dataset(split, batch_size=6, seed=0)[2]
    parts = [train_dataset(split, batch_size=6, seed=0, shard=(host, 2))[2] for host in range(2)]
    np.testing.assert_array_equal(np.concatenate([p["photo"] for p in parts]), whole["photo"])


def test_the_digits_are_divided_once_and_described(root):
    dataset = prepare(configure(root, val_size=20.0))
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 180,
        "val": 20,
        "test": 50,
    }
    assert dataset.classes == tuple("0123456789")
    assert dataset.name == "MNIST RTS"
    assert dataset.report["splits"]["test"] == dict.fromkeys("0123456789", 5)
    assert len(dataset.mean_color) == 1
    same = prepare(configure(root, val_size=20.0))
    assert same.fingerprint == dataset.fingerprint
    another = configure(root, val_size=20.0, split_seed=1)
    assert prepare(another).fingerprint != dataset.fingerprint


def test_files_that_are_absent_or_damaged_are_named(root):
    images = root / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    broken = whole[:20] + b"\xff" * 20 + whole[40:]
    not_idx = [gzip.compress(content) for content in (b"\0\0", idx(bar(3)))]
    numbers = gzip.decompress(whole)
    signed = gzip.compress(numbers[:2] + b"\x09" + numbers[3:])
    for damaged in (whole[:-100], broken, b"no gzip", *not_idx):
        images.write_bytes(damaged)
        with pytest.raises(DataError, match=r"damaged or not an idx|do not belong together"):
            prepare(configure(root))
    images.write_bytes(signed)
    with pytest.raises(DataError, match="not an idx file of bytes"):
        prepare(configure(root))
    images.write_bytes(whole)
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(200) % 11))
    with pytest.raises(DataError, match="do not belong together"):
        prepare(configure(root))
    images.unlink()
    with pytest.raises(DataError, match="no train-images-idx3-ubyte in it; expected the four"):
        prepare(configure(root))
    with pytest.raises(DataError, match=r"no such folder; expected the four idx files of MNIST"):
        resolve_source(configure(root / "absent"))


def test_files_without_a_digit_are_refused(root):
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((0, 28, 28)))))
    (root / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(0, np.uint8))))
    with pytest.raises(DataError, match="do not belong together"):
        prepare(configure(root))


def test_another_photo_size_is_an_error_that_says_which(root):
    data = DataConfig(source="mnist", root=str(root), photo_size=(630, 945))
    with pytest.raises(DataError, match=r"photo-size 630 945: --data\.mnist\.task RTS needs 42 42"):
        prepare(data)


@pytest.mark.parametrize("size", [200.0, 0.001])
def test_senseless_validation_sizes_are_refused(root, size):
    with pytest.raises(DataError, match=rf"--data\.val-size {size}: 200 digits cannot be divided"):
        prepare(configure(root, val_size=size))


def test_the_real_digits(real_data):
    splits = prepare(configure(real_data / "mnist", val_size=5000.0)).splits
    assert [len(splits[name]) for name in ("train", "val", "test")] == [55_000, 5_000, 10_000]
    assert splits["test"].labels[:5].tolist() == [7, 2, 1, 0, 4]
