"""Columns of metadata cut into slices that can be counted by hand."""

import numpy as np

from stn_jax.evaluation.slices import slice_column


def slices_of(values):
    """Names of a column's slices, and how many photos are in each; None where it is left out."""
    found = slice_column(values)
    return found and {name: members.sum() for name, members in found.items()}


def test_many_numbers_are_cut_into_ranges_and_many_texts_left_out():
    quarters = {"0 to 19": 20, "20 to 39": 20, "40 to 59": 20, "60 to 79": 20}
    assert list(slices_of(tuple(map(str, range(80)))).items()) == list(quarters.items())
    assert slices_of(tuple(f"name {i}" for i in range(80))) is None


def test_few_numbers_are_sorted_as_numbers_and_many_as_well():
    assert [*slices_of(("10", "9", "100", "", "9"))] == ["9", "10", "100", "unknown"]
    assert [*slices_of(("FST2", "FST10", "", "FST2"))] == ["FST10", "FST2", "unknown"]
    ages = tuple(f"{age}.0" for age in range(5, 90, 5))
    assert slices_of((*ages, "", "NA")) == {
        "5 to 19": 3,
        "20 to 39": 4,
        "40 to 59": 4,
        "60 to 85": 6,
        "unknown": 2,
    }


def test_every_number_is_in_one_range_whatever_its_size():
    key = np.random.default_rng(0)
    for size in (1e-6, 0.01, 1, 50, 1e7):
        for digits in (0, 2, 8):
            numbers = np.round(key.normal(size=50) * size + key.normal() * 10 * size, digits)
            found = slice_column(tuple(map(str, numbers)))
            np.testing.assert_array_equal(np.sum([*found.values()], axis=0), 1)
    assert [*slices_of(tuple(str(i / 20) for i in range(40)))] == [
        "0.0 to under 0.4",
        "0.4 to under 1.0",
        "1.0 to under 1.4",
        "1.4 to 2.0",
    ]


def test_ranges_are_not_spoilt_by_one_number_out_of_place():
    found = slices_of((*map(str, range(20, 80)), "3500"))
    assert [*found] == ["20 to 34", "35 to 49", "50 to 64", "65 to 3500"]


def test_slices_of_one_name_are_one_slice():
    sexes = ("f", "m", "", "unknown", "", "unknown")
    assert slices_of(sexes) == {"f": 1, "m": 1, "unknown": 4}


def test_a_number_written_in_two_ways_is_one_number():
    assert slices_of(("1", "1.0", "2.0", "2.0", "na")) == {"1": 2, "2.0": 2, "unknown": 1}


def test_ranges_of_large_numbers_have_names_of_their_own():
    dates = tuple(str(20240100 + day) for day in range(80))
    assert slices_of(dates) == {
        "20240100 to 20240119": 20,
        "20240120 to 20240139": 20,
        "20240140 to 20240159": 20,
        "20240160 to 20240179": 20,
    }


def test_an_edge_at_zero_has_no_sign():
    assert [*slices_of(tuple(str(i / 100) for i in range(-13, 12)))] == [
        "-0.13 to under -0.08",
        "-0.08 to under 0.00",
        "0.00 to under 0.04",
        "0.04 to 0.11",
    ]


def test_twenty_texts_are_shown_and_ten_numbers_are_not_cut():
    texts = [f"name {i}" for i in range(20)]
    assert [*slices_of(texts)] == sorted(texts)
    assert [*slices_of([*texts[1:], ""])] == [*sorted(texts[1:]), "unknown"]
    assert slices_of([*texts, ""]) is None
    numbers = [str(i) for i in range(10)]
    assert [*slices_of(numbers)] == numbers
    assert len(slices_of([*numbers, "10"])) == 4


def test_what_is_written_where_nothing_is_known_is_unknown():
    none = ("", "unknown", "Unknown", "NA", "n/a", "NaN", "None", "null")
    assert slices_of(("1", "2", *none)) == {"1": 1, "2": 1, "unknown": len(none)}
    assert slices_of(("f", "", "unknown", "Unknown", "UNKNOWN")) == {"f": 1, "unknown": 4}


def test_infinity_is_a_text():
    assert slices_of(("1", "1.0", "inf")) == {"1": 1, "1.0": 1, "inf": 1}


def test_no_photos_are_in_no_slice():
    assert slices_of(()) == {}
