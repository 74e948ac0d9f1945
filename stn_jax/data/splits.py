"""Which photo is for training, validation or the test: deterministic, stratified, by group."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from stn_jax.data.errors import DataError, printable
from stn_jax.data.folder import SPLITS


def assign_splits(
    labels: Sequence[int],
    units: Sequence[str],
    given: Sequence[str],
    *,
    classes: Sequence[str],
    val_size: float,
    test_size: float,
    seed: int,
    folds: int = 0,
    fold: int = 0,
) -> list[str]:
    """Puts every photo into train, val or test.

    Splits that are given stay as they are. Of val and test, what nobody gives is taken from the
    photos of which nothing is said or, where something is said of all, from train. Whole units
    move, in an order that is a hash of the seed and their name: a new photo changes little about
    where the others go. A photo of which nothing is said follows the others of its unit.

    Args:
      labels: class index of each photo.
      units: what must stay together (patient, case, duplicates) of each photo.
      given: train, val, test, or "" where nothing is said.
      classes: names, for messages.
      val_size: fraction below 1 of each class, or a count spread evenly over the classes.
      test_size: as `val_size`.
      seed: seed of the order.
      folds: cross-validate: every photo is in the test of one of so many folds; 0: `test_size`.
      fold: whose test to take, counted from 0.

    Raises:
      DataError: when a class is too small, a split ends up without one of the classes, or a test is
        given that folds would have to move.
    """
    labels = np.asarray(labels)
    present = set(given) - {""}
    said = _said_of_units(units, given)
    splits = np.array([said.get(unit, "") for unit in units], dtype="<U5")
    source = "" if "" in splits else "train"
    whole = np.bincount(labels[splits == source], minlength=len(classes))
    if folds:
        if "test" in present:
            raise DataError("--data.folds cannot divide photos whose test is given: leave it out")
        pool = np.flatnonzero(splits == source)
        splits[_take_fold(pool, labels, units, folds, fold, f"{seed}:test")] = "test"
        present.add("test")
    for split, size in (("test", test_size), ("val", val_size)):
        if split in present:
            continue
        pool = np.flatnonzero(splits == source)
        left = np.bincount(labels[pool], minlength=len(classes))
        wanted = _targets(whole, left, size, split, classes)
        splits[_take(pool, labels, units, wanted, f"{seed}:{split}")] = split
    splits[splits == ""] = "train"
    _check_classes(splits.tolist(), labels.tolist(), units, classes)
    return splits.tolist()


def _targets(
    whole: np.ndarray, left: np.ndarray, size: float, split: str, classes: Sequence[str]
) -> np.ndarray:
    """How many photos of each class to take, of `whole` at the start and `left` by now."""
    option = f"--data.{split}-size"
    if size <= 0:
        raise DataError(f"{option} {size} must be positive: a fraction below 1, or a count")
    if 1 <= size < len(classes):
        raise DataError(
            f"{option} {size:g} is a count, too few photos for one of each of {len(classes)} "
            "classes: give a larger one, or a fraction below 1"
        )
    if size < 1:
        wanted = np.maximum(1, np.rint(whole * size).astype(int))
    else:
        share, rest = divmod(int(size), len(classes))
        wanted = share + (np.arange(len(classes)) < rest)
    for name, count, want in zip(classes, left, wanted, strict=True):
        if want >= count:
            raise DataError(
                f"class {name} has {count} photos left, too few for {want} in {split} and some "
                f"for training: add photos of it, or lower {option}"
            )
    return wanted


def _take(
    pool: np.ndarray, labels: np.ndarray, units: Sequence[str], wanted: np.ndarray, salt: str
) -> list[int]:
    """Photos of the pool, in whole units, whose classes come as near to `wanted` as they can."""
    members: dict[str, list[int]] = {}
    for index in pool.tolist():
        members.setdefault(units[index], []).append(index)
    order = sorted(members, key=lambda unit: hashlib.sha256(f"{salt}:{unit}".encode()).digest())
    missing = wanted.copy()
    taken = []
    for unit in order:
        after = missing - np.bincount(labels[members[unit]], minlength=len(wanted))
        if np.abs(after).sum() < np.abs(missing).sum():
            missing = after
            taken.extend(members[unit])
    return taken + _one_of_each(members, labels, wanted, taken)


def _one_of_each(
    members: Mapping[str, list[int]], labels: np.ndarray, wanted: np.ndarray, taken: list[int]
) -> list[int]:
    """The smallest unit of each class that is wanted and of which none is taken, if any is left.

    Large units may all be further from what is wanted than none.
    """
    found: list[int] = []
    for label in np.flatnonzero(wanted):
        if (labels[taken + found] == label).any():
            continue
        units = [photos for photos in members.values() if (labels[photos] == label).any()]
        if len(units) > 1:
            found += min(units, key=len)
    return found


def _take_fold(
    pool: np.ndarray, labels: np.ndarray, units: Sequence[str], folds: int, fold: int, salt: str
) -> list[int]:
    """Photos of one of the equal parts of a pool; the last part is whatever the others leave."""
    for parts_left in range(folds, folds - fold - 1, -1):
        whole = np.bincount(labels[pool], minlength=labels.max() + 1)
        wanted = np.rint(whole / parts_left).astype(int)
        part = _take(pool, labels, units, wanted, salt)
        pool = np.setdiff1d(pool, part)
    return part


def _said_of_units(units: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for unit, split in zip(units, given, strict=True):
        if split and said.setdefault(unit, split) != split:
            raise DataError(
                f"photos in {said[unit]} and in {split} belong together with {printable(unit)}, as "
                "one group or as look-alikes: the test would be of patients seen in training. Put "
                "them into one split, also those that no split is given of"
            )
    return said


def _check_classes(
    splits: Sequence[str], labels: Sequence[int], units: Sequence[str], classes: Sequence[str]
) -> None:
    present = set(zip(splits, labels, strict=True))
    for split in SPLITS:
        for index, name in enumerate(classes):
            if (split, index) in present:
                continue
            own = [unit for unit, label in zip(units, labels, strict=True) if label == index]
            whole = f"; its {len(own)} photos are {len(set(own))} groups, which move whole"
            raise DataError(
                f"class {name} has no photo in {split}: every split needs some"
                + (whole if len(set(own)) < len(own) else "")
            )
