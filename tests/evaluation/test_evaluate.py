"""The whole evaluation of a tiny run: what it writes, and what it must not depend on."""

import csv
import io
import json
import os
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import stn_jax
import stn_jax.cli
from stn_jax.data.builder import prepare
from stn_jax.data.errors import DataError
from stn_jax.evaluation.evaluate import evaluate_predictions
from stn_jax.evaluation.table import TableError, read_table, write_table
from stn_jax.evaluation.tabulate import _Masks
from stn_jax.training.workdir import read_run

ROOT = Path(__file__).parents[2]


def metrics_of(workdir: Path, folder: str = "evaluation") -> dict:
    return json.loads((workdir / folder / "metrics.json").read_text())


def test_every_test_photo_once_and_in_order(evaluated):
    """22 photos in calls of 8: the last call is not full, and nothing is lost or counted twice."""
    with open(evaluated / "evaluation/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    split = prepare(read_run(evaluated).config.data).splits["test"]
    assert [row["file"] for row in rows] == [split[i]["file"] for i in range(22)]
    classes = read_run(evaluated).classes
    assert [row["label"] for row in rows] == [classes[label] for label in split.labels]
    for row in rows:
        assert sum(float(row[f"prob_{name}"]) for name in classes) == pytest.approx(1)
        assert len([name for name in row if name.startswith("theta_")]) == 6


def test_metrics_follow_from_the_table(evaluated):
    metrics, table = metrics_of(evaluated), read_table(evaluated / "evaluation/predictions.csv")
    assert metrics["split"] == "test"
    assert metrics["n"] == len(table) == 22
    assert metrics["correct"] == table.correct.sum() == np.trace(metrics["confusion"])
    assert metrics["accuracy"]["value"] == metrics["correct"] / 22
    sure = table.confidence >= 0.95
    assert metrics["paper_cutoff"]["accepted"] == sure.sum()
    assert metrics["selective"]["accepted"] == table.accepted.sum()
    assert set(metrics["stn"]["baselines"]) == {"centre", "whole"}
    assert metrics["stn"]["lesion"]["n"] == 22


def test_metrics_name_the_model_and_the_data(evaluated):
    metrics, run = metrics_of(evaluated), read_run(evaluated)
    assert metrics["source"] == "SYNTHETIC"
    assert metrics["synthetic"] is True
    assert metrics["data"]["fingerprint"] == run.data_fingerprint
    assert metrics["model"]["fingerprint"] == stn_jax.load_predictor(evaluated).fingerprint
    assert metrics["data"]["splits"]["test"] == {"scales": 11, "vesicles": 11}
    assert metrics["data"]["taken"] == 86
    assert metrics["data"]["refused"] == metrics["data"]["duplicates"] == 0


def test_labels_of_the_test_decide_nothing(copy, monkeypatch):
    """Poisoned test labels leave temperature, threshold and every probability as they were."""
    from stn_jax.data.builder import PhotoSource

    before = metrics_of(copy)
    table = read_table(copy / "evaluation/predictions.csv")
    read = PhotoSource.__getitem__

    def poisoned(source, index):
        item = read(source, index)
        return item | {"label": 1 - item["label"]} if len(source) == 22 else item

    monkeypatch.setattr(PhotoSource, "__getitem__", poisoned)
    after = stn_jax.evaluate(copy)
    assert after["correct"] == 22 - before["correct"]
    assert after["temperature"] == before["temperature"]
    assert after["selective"]["threshold"] == before["selective"]["threshold"]
    poisoned_table = read_table(copy / "evaluation/predictions.csv")
    np.testing.assert_array_equal(poisoned_table.probabilities, table.probabilities)
    np.testing.assert_array_equal(poisoned_table.accepted, table.accepted)


def test_predictions_alone_give_the_same_metrics(copy):
    before = metrics_of(copy)
    csv_before = (copy / "evaluation/predictions.csv").read_bytes()
    (copy / "evaluation/report.html").unlink()
    shutil.rmtree(copy / "best")
    shutil.rmtree(copy / "checkpoints")
    evaluate_predictions(copy / "evaluation/predictions.csv")
    assert metrics_of(copy) == before
    assert (copy / "evaluation/predictions.csv").read_bytes() == csv_before
    assert (copy / "evaluation/report.html").is_file()


@pytest.mark.parametrize(("split", "inside"), [("test", "."), ("val", "."), ("test", "figures")])
def test_predictions_alone_find_the_training_from_inside_their_folder(
    copy, monkeypatch, split, inside
):
    folder = copy / "evaluation"
    if split == "val":
        folder /= split
        shutil.copytree(copy / "evaluation", folder)
    (folder / "figures" / "learning.png").unlink()
    place = folder / inside
    monkeypatch.chdir(place)
    evaluate_predictions(os.path.relpath(folder / "predictions.csv", place))
    assert (folder / "figures" / "learning.png").is_file()
    assert "What it looked at while it learned" in (folder / "report.html").read_text()


def test_another_split_leaves_the_test_alone(copy):
    """By the model, and then from the table of validation photos alone."""
    files = sorted(path for path in (copy / "evaluation").rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    stn_jax.evaluate(copy, split="val")
    metrics, ours = metrics_of(copy, "evaluation/val"), copy / "evaluation/val"
    assert (metrics["split"], metrics["n"]) == ("val", 24)
    assert "What it looked at while it learned" in (ours / "report.html").read_text()
    by_model = read_table(ours / "predictions.csv").probabilities
    shutil.rmtree(ours)
    evaluate_predictions(copy / "evaluation/predictions_val.csv")
    again = metrics_of(copy, "evaluation/val")
    np.testing.assert_array_equal(read_table(ours / "predictions.csv").probabilities, by_model)
    for known in ("split", "correct", "auroc", "temperature", "selective", "model", "data"):
        assert again[known] == metrics[known]
    assert "What it looked at while it learned" in (ours / "report.html").read_text()
    assert {path: path.read_bytes() for path in files} == before


def test_a_bare_table_is_evaluated_as_far_as_it_goes(make_predictions, tmp_path):
    table = make_predictions(60).calibrated(temperature=2.0, threshold=0.9)
    write_table(table, tmp_path / "mine.csv")
    metrics = evaluate_predictions(tmp_path / "mine.csv")
    assert metrics["n"] == 60
    assert metrics["selective"]["threshold"] is None
    assert metrics["selective"]["reason"]
    assert metrics["selective"]["accepted"] == table.accepted.sum()
    assert metrics["model"]["fingerprint"] is None
    assert "unknown" in metrics
    assert (tmp_path / "report.html").is_file()


def test_another_table_does_not_replace_the_evaluation_of_a_model(copy):
    before = (copy / "evaluation/predictions.csv").read_bytes()
    shutil.copy(copy / "evaluation/predictions.csv", copy / "evaluation/corrected.csv")
    with pytest.raises(TableError, match=r"corrected\.csv lies in the evaluation of a model"):
        evaluate_predictions(copy / "evaluation/corrected.csv")
    assert (copy / "evaluation/predictions.csv").read_bytes() == before


def test_masks_take_the_place_of_boxes(copy, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    table = read_table(copy / "evaluation/predictions.csv")
    for file in table.file[:3]:
        mask = np.zeros((42, 63), np.uint8)
        mask[10:20, 30:40] = 255
        Image.fromarray(mask).save(masks / f"{file}.png")
    metrics = stn_jax.evaluate(copy, masks=masks)
    assert metrics["stn"]["lesion"]["n"] == 3
    table = read_table(copy / "evaluation/predictions.csv")
    np.testing.assert_allclose(table.lesion[:3], [[30, 10, 40, 20]] * 3)
    assert np.isnan(table.lesion[3:]).all()
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match="no mask named after any"):
        stn_jax.evaluate(copy, masks=tmp_path / "empty")


def test_a_mask_that_two_photos_could_claim_is_refused(tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / name).touch()
    masks = _Masks(tmp_path)
    assert masks.find("a/1.jpg") == masks.find("a/1.jpg") == tmp_path / "1.png"
    assert masks.find("b/3.jpg") is None
    with pytest.raises(TableError, match=r"1\.png may belong to a/1\.jpg or to b/1\.jpg"):
        masks.find("b/1.jpg")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.png").touch()
    assert masks.find("a/2.jpg") == tmp_path / "2.png"
    assert masks.find("b/2.jpg") == tmp_path / "b" / "2.png"


def test_names_with_brackets_are_printed_as_they_are(make_predictions, tmp_path):
    table = make_predictions(40, classes=("old [b]", "new [/b]"))
    write_table(table, tmp_path / "mine [x].csv")
    console = Console(file=io.StringIO(), width=200)
    evaluate_predictions(tmp_path / "mine [x].csv", console=console)
    for name in ("of old [b]", "of new [/b]", "mine [x].csv"):
        assert name in console.file.getvalue()


def test_no_name_is_taken_for_an_emoji(make_predictions, tmp_path, capsys):
    write_table(make_predictions(40, classes=(":smile:", "none")), tmp_path / "mine.csv")
    evaluate_predictions(tmp_path / "mine.csv")
    assert "the commonest, :smile:, would" in capsys.readouterr().out


def test_names_that_are_read_from_the_right_move_no_count(copy):
    file = copy / "evaluation" / "metrics.json"
    known = json.loads(file.read_text())
    known["data"]["splits"]["train"] = {"אקזמה": 26, "פסוריאזיס": 16}
    file.write_text(json.dumps(known))
    evaluate_predictions(copy / "evaluation" / "predictions.csv")
    report = (copy / "evaluation" / "report.html").read_text()
    assert "26 <bdi>אקזמה</bdi>, 16 <bdi>פסוריאזיס</bdi>" in report


def test_validation_without_a_photo_is_refused_by_name(make_predictions, tmp_path):
    write_table(make_predictions(20), tmp_path / "predictions.csv")
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    (tmp_path / "predictions_val.csv").write_text(header + "\n")
    with pytest.raises(TableError, match=r"predictions_val\.csv: no photo"):
        evaluate_predictions(tmp_path / "predictions.csv")


@pytest.mark.parametrize("text", ["", "3", "null", '{"model": null}', '{"model": {}}'])
def test_damaged_metrics_beside_a_table_are_named(make_predictions, tmp_path, text):
    write_table(make_predictions(20), tmp_path / "predictions.csv")
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(TableError, match=r"metrics\.json is damaged .*: remove it"):
        evaluate_predictions(tmp_path / "predictions.csv")


def test_photos_that_changed_since_training_are_refused(copy):
    facts = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(facts | {"data_fingerprint": "0" * 64}))
    with pytest.raises(DataError, match="not those of the training"):
        stn_jax.evaluate(copy)


def test_summary_is_printed_with_counts(copy, capsys):
    metrics = stn_jax.evaluate(copy)
    printed = capsys.readouterr().out
    assert f"{metrics['correct']} of 22" in printed
    assert "SYNTHETIC" in printed
    assert "at least 95 % sure" in printed
    assert "report.html" in printed


def test_letters_that_figures_cannot_show_are_said(copy, capsys, monkeypatch):
    monkeypatch.setattr(
        "stn_jax.evaluation.evaluate.undrawable", lambda classes: f"疹 of {' '.join(classes)}"
    )
    stn_jax.evaluate(copy)
    printed = " ".join(capsys.readouterr().out.split())
    assert "figures show boxes for 疹 of scales vesicles: install a font" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --workdir"),
        (["--workdir", "nowhere"], "nowhere holds no run"),
        (["--from-predictions", "nowhere.csv"], "nowhere.csv: not a table of predictions"),
        (["--from-predictions", "nowhere.csv", "--split", "val"], "--split needs --workdir"),
        (["--from-predictions", "nowhere.csv", "--compare", "other"], "--compare needs --workdir"),
        (["--from-predictions", "nowhere.csv", "--masks", "folder"], "--masks needs --workdir"),
        (["--from-predictions", "nowhere.csv", "--data-root", "x"], "--data-root needs --workdir"),
        (["--workdir", "nowhere", "--masks", "none"], "--masks none: no such folder"),
        (["--workdir", "nowhere", "--target-error", "1.5"], "--target-error 1.5 must be in (0, 1)"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, said, tmp_path, monkeypatch, capsys):
    main = runpy.run_path(str(ROOT / "evaluate.py"))["main"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])
    assert stn_jax.cli.run(main) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert said in stderr
    assert "Traceback" not in stderr


def test_photos_that_are_elsewhere_are_asked_for(copy, tmp_path):
    with pytest.raises(DataError, match=r"--data-root .*: the run was trained on generated photos"):
        stn_jax.evaluate(copy, data_root=str(tmp_path))
    config, run = copy / "config.json", copy / "run.json"
    values, facts = json.loads(config.read_text()), json.loads(run.read_text())
    values["data"] |= {"source": "folder", "root": str(tmp_path / "gone")}
    config.write_text(json.dumps(values))
    run.write_text(json.dumps(facts | {"data_name": "photos"}))
    with pytest.raises(
        DataError, match=r"gone: the photos of the training are not there.*--data-r"
    ):
        stn_jax.evaluate(copy)
    with pytest.raises(DataError, match="--data-root is empty: name a folder, or leave it out"):
        stn_jax.evaluate(copy, data_root="")


def test_damaged_metrics_of_the_training_do_not_stop_an_evaluation(copy):
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "tr')
    stn_jax.evaluate(copy)
