from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_jax.data.errors import DataError
from stn_jax.data.splits import assign_splits

CLASSES = ("eczema", "psoriasis")


def divide(labels, units=None, given=None, *, val_size=0.15, test_size=0.15, seed=0, **folds):
    count = len(labels)
    return assign_splits(
        labels,
        units or [f"{i}.jpg" for i in range(count)],
        given or [""] * count,
        classes=CLASSES,
        val_size=val_size,
        test_size=test_size,
        seed=seed,
        **folds,
    )


def counts(splits, labels):
    pairs = list(zip(splits, labels, strict=True))
    return {
        split: {name: pairs.count((split, label)) for label, name in enumerate(CLASSES)}
        for split in ("train", "val", "test")
    }


def test_the_default_is_70_15_15_of_each_class():
    labels = [0] * 200 + [1] * 100
    assert counts(divide(labels), labels) == {
        "train": {"eczema": 140, "psoriasis": 70},
        "val": {"eczema": 30, "psoriasis": 15},
        "test": {"eczema": 30, "psoriasis": 15},
    }


def test_a_count_is_spread_evenly_over_the_classes():
    labels = [0] * 400 + [1] * 150
    found = counts(divide(labels, test_size=200.0, val_size=11.0), labels)
    assert found["test"] == {"eczema": 100, "psoriasis": 100}
    assert found["val"] == {"eczema": 6, "psoriasis": 5}


def test_the_same_seed_gives_the_same_division_whatever_the_order():
    labels = [i % 2 for i in range(100)]
    units = [f"{i}.jpg" for i in range(100)]
    first = dict(zip(units, divide(labels, units), strict=True))
    order = np.random.default_rng(0).permutation(100)
    again = divide([labels[i] for i in order], [units[i] for i in order])
    assert divide([labels[i] for i in order], [units[i] for i in order]) == [
        first[units[i]] for i in order
    ]
    assert again != list(first.values())
    assert divide(labels, units, seed=1) != list(first.values())


def test_one_new_photo_moves_few_others():
    labels = [i % 2 for i in range(200)]
    before = divide(labels)
    after = divide([*labels, 0])
    assert sum(a != b for a, b in zip(before, after, strict=False)) <= 4


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_group_never_straddles_splits(data):
    units = data.draw(st.lists(st.integers(0, 25).map(str), min_size=60, max_size=120))
    labels = [data.draw(st.integers(0, 1)) for _ in units]
    try:
        splits = divide(labels, units, seed=data.draw(st.integers(0, 9)))
    except DataError:
        return
    homes = {}
    for unit, split in zip(units, splits, strict=True):
        assert homes.setdefault(unit, split) == split


def test_groups_of_many_photos_still_come_near_the_wanted_sizes():
    rng = np.random.default_rng(0)
    units = [str(group) for group in range(150) for _ in range(rng.integers(1, 6))]
    labels = [int(unit) % 2 for unit in units]
    share = Counter(divide(labels, units))
    assert 0.12 < share["test"] / len(units) < 0.18
    assert 0.12 < share["val"] / len(units) < 0.18


def test_given_splits_stay_and_the_missing_one_is_taken_from_train():
    labels = [i % 2 for i in range(60)]
    given = ["train"] * 40 + ["test"] * 20
    splits = divide(labels, given=given)
    assert splits[40:] == ["test"] * 20
    assert Counter(splits[:40]) == {"train": 34, "val": 6}


def test_what_is_given_is_not_moved_where_others_can_be():
    labels = [i % 2 for i in range(60)]
    given = ["train"] * 20 + [""] * 40
    splits = divide(labels, given=given)
    assert splits[:20] == ["train"] * 20
    assert Counter(splits[20:]) == {"train": 28, "val": 6, "test": 6}


def test_a_photo_of_which_nothing_is_said_follows_its_unit():
    labels = [i % 2 for i in range(40)]
    units = [f"{i}" for i in range(40)]
    units[39] = units[0]
    given = ["test", "test", *[""] * 38]
    splits = divide([0, *labels[1:39], 0], units, given)
    assert splits[39] == "test"


def test_every_photo_is_in_the_test_of_one_fold():
    labels = [0] * 83 + [1] * 21
    divisions = [divide(labels, val_size=0.2, folds=5, fold=fold) for fold in range(5)]
    tests = Counter(i for splits in divisions for i in range(104) if splits[i] == "test")
    assert tests == Counter(range(104))
    found = [counts(splits, labels) for splits in divisions]
    assert {tuple(split["test"].values()) for split in found} <= {(16, 4), (17, 4), (17, 5)}
    assert {tuple(split["val"].values()) for split in found} == {(17, 4)}


def test_folds_keep_groups_together():
    rng = np.random.default_rng(0)
    units = [str(group) for group in range(60) for _ in range(rng.integers(1, 6))]
    labels = [i % 2 for i in range(len(units))]
    homes = Counter()
    for fold in range(4):
        splits = divide(labels, units, folds=4, fold=fold)
        homes.update({u for u, split in zip(units, splits, strict=True) if split == "test"})
        assert 0.2 < splits.count("test") / len(units) < 0.3
    assert homes == Counter(set(units))


@pytest.mark.parametrize("folds", [{}, {"folds": 3, "fold": 1}])
def test_few_patients_of_many_photos_are_divided_all_the_same(folds):
    labels = [0] * 60 + [1] * 60
    units = [f"p{place // 20}" for place in range(120)]
    splits = divide(labels, units, **folds)
    assert counts(splits, labels) == {
        split: {"eczema": 20, "psoriasis": 20} for split in ("train", "val", "test")
    }


def test_of_patients_of_very_many_photos_the_test_gets_the_one_of_fewest():
    photos = {"a": 30, "b": 8, "c": 20}
    units = [str(i) for i in range(60)] + [
        unit for unit, count in photos.items() for _ in range(count)
    ]
    splits = divide([0] * 60 + [1] * 58, units, test_size=6.0, val_size=6.0)
    found = {unit: splits[units.index(unit)] for unit in photos}
    assert found == {"a": "train", "b": "test", "c": "val"}


def test_another_seed_gives_other_folds():
    labels = [i % 2 for i in range(40)]
    first, other = (divide(labels, folds=4, fold=0, seed=seed) for seed in (0, 1))
    assert [i for i in range(40) if first[i] == "test"] != [
        i for i in range(40) if other[i] == "test"
    ]


def test_too_few_patients_are_counted_in_the_refusal():
    labels = [0] * 60 + [1] * 60
    units = [f"p{place // 30}" for place in range(120)]
    with pytest.raises(DataError, match="its 60 photos are 2 groups, which move whole"):
        divide(labels, units)


def test_folds_refuse_to_move_a_given_test():
    given = ["test", "test", *[""] * 38]
    with pytest.raises(DataError, match=r"--data\.folds cannot divide photos whose test is given"):
        divide([i % 2 for i in range(40)], given=given, folds=5, fold=0)


def test_more_folds_than_photos_of_a_class_are_refused():
    with pytest.raises(DataError, match="class psoriasis has no photo in test"):
        [divide([0] * 60 + [1] * 4, folds=6, fold=fold) for fold in range(6)]


def test_a_group_given_to_two_splits_is_refused():
    labels = [i % 2 for i in range(12)]
    given = ["train", "train", "val", "val", "test", "test"] * 2
    units = [f"patient {i}" for i in range(11)] + ["patient 0"]
    with pytest.raises(DataError, match="train and in test belong together with patient 0"):
        divide(labels, units, given)


def test_a_class_missing_from_a_given_split_is_refused():
    labels = [0, 1, 0, 1, 0, 0]
    given = ["train", "train", "val", "val", "test", "test"]
    with pytest.raises(DataError, match="class psoriasis has no photo in test"):
        divide(labels, given=given)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0] * 20 + [1], {}, "class psoriasis has 1 photos left, too few for 1 in test"),
        (
            [0] * 20 + [1] * 20,
            {"test_size": 50},
            "too few for 25 in test .* lower --data.test-size",
        ),
        ([0] * 20 + [1] * 20, {"val_size": 36}, "too few for 18 in val .* lower --data.val-size"),
        ([0] * 20 + [1] * 20, {"val_size": -1}, "--data.val-size -1.0 must be positive"),
        ([0] * 20 + [1] * 20, {"test_size": 0}, "--data.test-size 0.0 must be positive"),
        ([0] * 20 + [1] * 20, {"test_size": 1}, "--data.test-size 1 is a count, too few photos"),
    ],
)
def test_too_few_photos_are_refused_with_what_to_change(labels, options, message):
    with pytest.raises(DataError, match=message):
        divide(labels, **{name: float(value) for name, value in options.items()})


def test_one_patient_with_every_photo_of_a_class_cannot_be_divided():
    labels = [0] * 20 + [1] * 10
    units = [f"{i}" for i in range(20)] + ["the only patient"] * 10
    with pytest.raises(DataError, match="class psoriasis has no photo in"):
        divide(labels, units)
