"""metrics.json against tables that can be counted by hand."""

import dataclasses
import json

import numpy as np
import pytest

from stn_jax.evaluation.decision import decide
from stn_jax.evaluation.geometry import box_corners
from stn_jax.evaluation.intervals import wilson
from stn_jax.evaluation.metrics import negative_log_likelihood
from stn_jax.evaluation.summary import accepted_from, paired, summarise
from stn_jax.evaluation.table import make_table

CLASSES = ("eczema", "psoriasis")


def table_of(rows, **known):
    """A table of (label, probability of psoriasis) pairs."""
    labels, p = map(np.array, zip(*rows, strict=True)) if rows else (np.zeros(0, int), np.zeros(0))
    return make_table(
        classes=CLASSES,
        file=[f"{i}.jpg" for i in range(len(rows))],
        label=labels,
        raw=np.stack([1 - p, p], axis=1).astype(np.float64),
        **known,
    )


# Truly eczema: called eczema, eczema, psoriasis; truly psoriasis: psoriasis, eczema.
ROWS = [(0, 0.01), (0, 0.4), (0, 0.97), (1, 0.99), (1, 0.2)]


def test_counts_by_hand():
    found = summarise(table_of(ROWS), repeats=50)
    assert found["n"] == found["ungrouped"] == 5
    assert found["groups"] == 0
    assert found["class_counts"] == {"eczema": 3, "psoriasis": 2}
    assert found["confusion"] == [[2, 1], [1, 1]]
    assert found["correct"] == 3
    assert found["accuracy"] == wilson(3, 5).to_json()
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    psoriasis = found["per_class"]["psoriasis"]
    assert psoriasis["sensitivity"]["value"] == 1 / 2
    assert psoriasis["specificity"]["value"] == 2 / 3
    assert psoriasis["precision"]["value"] == 1 / 2
    # Of the six pairs of an eczema and a psoriasis photo, 0.99 wins three and 0.2 wins one.
    assert found["auroc"]["value"] == pytest.approx(4 / 6)
    assert found["positive_class"] == "psoriasis"


def test_papers_cutoff_counts_the_surest_only():
    assert summarise(table_of(ROWS), repeats=50)["paper_cutoff"] == {
        "threshold": 0.95,
        "accepted": 3,
        "correct": 2,
        "coverage": 3 / 5,
        "accuracy": wilson(2, 3).to_json(),
    }


def test_cutoff_takes_confidences_that_equal_it():
    assert accepted_from(table_of([(1, 0.95), (1, 0.94)]), 0.95)["accepted"] == 1


def test_coverage_falls_as_the_threshold_rises(make_predictions):
    table = make_predictions(200)
    coverages = [accepted_from(table, t)["coverage"] for t in np.linspace(0.5, 1.01, 30)]
    assert coverages == sorted(coverages, reverse=True)
    assert coverages[0] == 1
    assert coverages[-1] == 0


def test_undefined_is_null_with_a_reason():
    unsure = summarise(table_of([(0, 0.45), (1, 0.55)]), repeats=50)
    assert unsure["paper_cutoff"]["accuracy"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "no photo is accepted",
        "count": 0,
        "of": 0,
    }
    one_class = summarise(table_of([(0, 0.1), (0, 0.2)]), repeats=50)
    assert one_class["auroc"]["value"] is None
    assert one_class["auroc"]["reason"] == "no photos of psoriasis"
    assert one_class["per_class"]["eczema"]["auroc"]["reason"] == "only photos of eczema"
    assert one_class["per_class"]["psoriasis"]["sensitivity"]["value"] is None
    nothing = summarise(table_of([]), repeats=50)
    assert nothing["accuracy"]["value"] is None
    assert nothing["reasons"]["balanced_accuracy"] == "no photo"
    for found in (unsure, one_class, nothing):
        json.dumps(found, allow_nan=False)


def test_shuffled_labels_are_right_half_of_the_time(make_predictions):
    table = make_predictions(2000, sharpness=4.0)
    labels = np.random.default_rng(0).permutation(table.label)
    raw, files = table.raw, table.file
    shuffled = make_table(classes=CLASSES, file=files, label=labels, raw=raw)
    accuracy = summarise(shuffled, repeats=50)["accuracy"]
    assert accuracy["low"] < 0.5 < accuracy["high"]


def test_zoom_and_lesion_by_hand():
    """One crop is the photo's middle quarter and holds the lesion; the other is half outside."""
    area = np.array(
        [
            [[25, 25], [75, 25], [75, 75], [25, 75]],
            [[-50, 0], [50, 0], [50, 100], [-50, 100]],
        ],
        np.float64,
    )
    lesion = np.array([[25, 25, 75, 50], [60, 0, 70, 10]], np.float64)
    table = table_of(
        [(0, 0.1), (1, 0.9)],
        area=area,
        lesion=lesion,
        lesion_inside=np.array([1.0, 0.0]),
        theta=np.zeros((2, 6)),
    )
    stn = summarise(table, photo_size=(100, 100), repeats=50)["stn"]
    assert stn["zoom"]["mean"] == pytest.approx((2 + 1) / 2)
    assert stn["scale"]["mean"] == pytest.approx((0.5 + 1) / 2)
    assert stn["outside"]["mean_share"] == pytest.approx(0.25)
    assert stn["outside"]["crops_over_1_percent"] == 1
    assert stn["outside"]["crops_over_half"] == 0
    assert stn["lesion"]["centre_inside"]["count"] == 1
    assert stn["lesion"]["iou"]["mean"] == pytest.approx((0.5 + 0) / 2)


def test_spreads_of_zooms_and_centres_by_hand():
    zooms = np.arange(1, 22)
    corners = [box_corners(np.array([0, 0, 840 / zoom, 420 / zoom])) for zoom in zooms]
    table = table_of([(0, 0.1)] * 21, area=np.array(corners), theta=np.zeros((21, 6)))
    stn = summarise(table, photo_size=(420, 840), repeats=50)["stn"]
    of_zoom = [stn["zoom"][name] for name in ("p5", "median", "p95")]
    np.testing.assert_allclose(of_zoom, [2, 11, 20])
    for name in ("centre_x", "centre_y"):
        centres = [stn[name]["p5"], stn[name]["median"], stn[name]["p95"]]
        np.testing.assert_allclose(centres, [1 / 40, 1 / 22, 1 / 4])


def test_crops_are_counted_as_far_as_they_have_a_place_and_a_size():
    middle = box_corners(np.array([25, 25, 75, 75]))
    behind = middle.copy()
    behind[2] = np.inf  # a corner that a homography has behind the camera
    line = np.full((4, 2), 50.0)
    table = table_of(
        [(0, 0.1)] * 3,
        area=np.stack([middle, behind, line]),
        lesion=np.tile([25.0, 25, 75, 50], (3, 1)),
        theta=np.zeros((3, 9)),
    )
    stn = summarise(table, photo_size=(100, 100), repeats=50)["stn"]
    assert stn["located"] == stn["lesion"]["n"] == 2
    assert stn["zoom"]["mean"] == 2


def test_groups_are_counted_without_the_photos_of_nobody():
    found = summarise(table_of(ROWS, group=np.array(["a", "a", "b", "", ""], object)), repeats=50)
    assert (found["groups"], found["ungrouped"]) == (2, 2)


def test_paired_counts_by_hand():
    ours, theirs = np.array([True, True, True, False]), np.array([True, False, False, True])
    assert paired(ours, theirs, np.full(4, "", object)) == {
        "correct": 2,
        "accuracy": wilson(2, 4).to_json(),
        "mcnemar": {"ours_only": 2, "theirs_only": 1, "p": 1.0},
    }


def test_slices_count_every_photo_once(make_predictions):
    table = make_predictions(100)
    site = summarise(table, repeats=50)["slices"]["site"]["values"]
    assert sum(part["n"] for part in site.values()) == 100
    arm = np.array(table.metadata["site"]) == "arm"
    assert site["arm"]["correct"] == table.correct[arm].sum()


def test_ranges_of_numbers_are_counted_and_many_texts_left_out_with_a_reason():
    ages, names = tuple(str(i) for i in range(80)), tuple(f"name {i}" for i in range(80))
    rows = [(i % 2, 0.3) for i in range(80)]
    found = summarise(table_of(rows, metadata={"age": ages, "name": names}), repeats=50)["slices"]
    assert found["age"]["values"]["20 to 39"]["accuracy"] == wilson(10, 20).to_json()
    assert found["name"]["values"] is None
    assert found["name"]["reason"]


def test_more_than_two_classes(make_predictions):
    found = summarise(make_predictions(90, classes=("a", "b", "c")), repeats=50)
    assert found["positive_class"] is None
    assert 0.5 < found["auroc"]["value"] <= 1
    assert np.sum(found["confusion"]) == 90


def test_what_validation_decides_is_applied_and_told(make_predictions):
    validation = make_predictions(1000, seed=1, sharpness=1.0, prefix="v")
    test = make_predictions(300, seed=2, sharpness=1.0)
    decision = decide(validation, target_error=0.2)
    # Logits whose noise is 1 and whose classes are 1 apart are doubled in that table.
    assert decision.temperature == pytest.approx(2, rel=0.15)
    assert decision.selection.threshold is not None
    found = summarise(
        decision.apply(test), decision=decision, validation=decision.apply(validation), repeats=50
    )
    chosen = found["selective"]
    assert chosen["threshold"] == decision.selection.threshold
    assert chosen["accepted"] == (decision.apply(test).confidence >= chosen["threshold"]).sum()
    before, after = (found["calibration"][name] for name in ("before", "after"))
    assert after["val"]["nll"] < before["val"]["nll"]
    assert after["test"]["nll"] == found["nll"]
    assert before["test"]["nll"] == negative_log_likelihood(test.label, test.raw)
    arm = np.array(test.metadata["site"]) == "arm"
    of_arm = found["slices"]["site"]["values"]["arm"]
    assert of_arm["accepted"] == decision.apply(test).accepted[arm].sum()


def test_one_photo_a_patient_backs_the_promise(make_predictions):
    """Twice the same photos, under the same patients, promise no more than once."""
    once = make_predictions(200)
    once = dataclasses.replace(once, group=np.array(once.file, object))
    first = decide(once).selection
    twice = make_table(
        classes=once.classes,
        file=[*once.file, *(f"again {file}" for file in once.file)],
        label=np.concatenate([once.label, once.label]),
        raw=np.concatenate([once.raw, once.raw]),
        group=np.concatenate([once.group, once.group]),
    )
    selection = decide(twice).selection
    assert selection.n == 200
    assert (selection.accepted, selection.errors) == (first.accepted, first.errors)
    assert selection.error_bound == first.error_bound


@pytest.mark.parametrize("easy", ["a", "b"])
def test_which_photo_of_a_patient_counts_has_nothing_to_do_with_its_class(easy):
    """Each of 400 patients has an easy and a hard photo, always wrong, in folders of classes."""
    label = np.tile([0, 1], 400)
    right = label == "ab".index(easy)
    raw = np.where((right == (label == 0))[:, None], [0.9, 0.1], [0.1, 0.9])
    table = make_table(
        classes=("a", "b"),
        file=[f"{'ab'[each]}/{place // 2:03d}.png" for place, each in enumerate(label)],
        label=label,
        raw=raw,
        group=np.array([f"patient {place // 2}" for place in range(800)], object),
    )
    selection = decide(table, target_error=0.7).selection
    assert selection.n == selection.accepted == 400
    assert 150 < selection.errors < 250
