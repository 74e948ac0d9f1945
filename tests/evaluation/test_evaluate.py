"""The whole evaluation of a tiny run: what it writes, and what it must not depend on."""

import csv
import dataclasses
import io
import json
import re
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
from stn_jax.config import MnistConfig, SyntheticConfig
from stn_jax.data.builder import prepare
from stn_jax.data.errors import DataError
from stn_jax.evaluation.evaluate import (
    _known_facts,
    _name_of_other,
    evaluate_predictions,
    may_have_same_photos,
)
from stn_jax.evaluation.report import write_report
from stn_jax.evaluation.summary import summarise
from stn_jax.evaluation.table import TableError, read_table, write_table
from stn_jax.evaluation.tabulate import _Masks
from stn_jax.training.errors import WorkdirError
from stn_jax.training.workdir import Run, read_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """A workdir with its evaluation; not to be changed."""
    workdir = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(trained, workdir)
    stn_jax.evaluate(workdir)
    return workdir


@pytest.fixture
def copy(evaluated, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(evaluated, workdir)
    return workdir


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


def test_another_split_is_compared_with_the_same_split(copy, evaluated):
    with pytest.raises(WorkdirError, match="not evaluated on its val photos yet"):
        stn_jax.evaluate(copy, split="val", compare=[evaluated])
    stn_jax.evaluate(copy, split="val")
    stn_jax.evaluate(copy, split="val", compare=[copy])
    metrics = metrics_of(copy, "evaluation/val")
    assert metrics["compared"][0]["correct"] == metrics["correct"]
    evaluate_predictions(copy / "evaluation/val/predictions.csv")
    assert metrics_of(copy, "evaluation/val") == metrics


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


def test_compared_with_another_run_on_the_same_photos(copy, evaluated):
    metrics = stn_jax.evaluate(copy, compare=[evaluated])
    (other,) = metrics["compared"]
    assert other["correct"] == metrics["correct"]
    assert other["mcnemar"] == {
        "ours_only": 0,
        "theirs_only": 0,
        "p": None,
        "reason": "both are right on the same photos",
    }


def test_compared_with_what_cannot_be_compared(copy, evaluated, trained, make_predictions):
    new = copy.parent / "new one"
    shutil.copytree(trained, new)
    with pytest.raises(WorkdirError, match=r"not evaluated on its test photos yet: .*/new one'$"):
        stn_jax.evaluate(copy, compare=[new])
    other = copy.parent / "other"
    shutil.copytree(evaluated, other)
    write_table(make_predictions(22), other / "evaluation/predictions.csv")
    with pytest.raises(TableError, match="other photos"):
        stn_jax.evaluate(copy, compare=[other])


def test_an_evaluation_of_other_weights_is_not_compared(copy, evaluated, tmp_path):
    other = tmp_path / "other one"
    shutil.copytree(evaluated, other)
    metrics = metrics_of(other)
    metrics["model"]["fingerprint"] = "0" * 64
    (other / "evaluation/metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(WorkdirError, match=r"evaluation is of other .* than .*/other one'$"):
        stn_jax.evaluate(copy, compare=[other])


def test_an_evaluation_that_was_stopped_or_is_damaged_is_not_compared(copy, evaluated, tmp_path):
    other = tmp_path / "other one"
    shutil.copytree(evaluated, other)
    (other / "evaluation/metrics.json").write_text("{")
    with pytest.raises(WorkdirError, match=r"metrics\.json is damaged .*: .*/other one'$"):
        stn_jax.evaluate(copy, compare=[other])
    (other / "evaluation/metrics.json").unlink()
    with pytest.raises(WorkdirError, match="not evaluated on its test photos yet"):
        stn_jax.evaluate(copy, compare=[other])


def test_only_the_same_classifier_is_called_the_same_network(evaluated, tmp_path):
    run = read_run(evaluated)

    def name_of(**changed) -> str:
        model = dataclasses.replace(run.config.model, **changed)
        config = dataclasses.replace(run.config, model=model)
        return _name_of_other(tmp_path, run, dataclasses.replace(run, config=config))

    assert name_of(transform="identity") == "the same network on the whole photo, shrunk (no zoom)"
    assert (
        name_of(transform="centre", dense=(2,)) == f"the run in {tmp_path}, on a fixed centre crop"
    )
    assert name_of(transform="tps") == f"the run in {tmp_path}"


def test_photos_generated_from_another_seed_are_not_compared(copy, evaluated, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(evaluated, other)
    config = json.loads((other / "config.json").read_text())
    config["data"]["synthetic"]["seed"] += 1
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(WorkdirError, match="on other photos"):
        stn_jax.evaluate(copy, compare=[other])


def test_photos_of_folders_are_compared_where_they_can_be_the_same(evaluated):
    def run_of(fingerprint: str, **options) -> Run:
        data = dataclasses.replace(run.config.data, **options)
        config = dataclasses.replace(run.config, data=data)
        changed = dataclasses.replace(run, config=config, data_name="photos")
        return dataclasses.replace(changed, data_fingerprint=fingerprint)

    run = read_run(evaluated)
    folder = run_of("a", source="folder", root="here")
    moved = run_of("a", source="folder", root="there")
    others = run_of("b", source="folder", root="there")
    larger = run_of("c", source="folder", root="here", photo_size=(84, 126))
    digits = run_of("d", source="mnist", mnist=MnistConfig(task="R"))
    turned = run_of("e", source="mnist", mnist=MnistConfig(task="RTS"))
    assert may_have_same_photos(folder, moved)
    assert may_have_same_photos(folder, larger)
    assert may_have_same_photos(digits, digits)
    for one, other in ((folder, others), (folder, run), (digits, turned), (folder, digits)):
        assert not may_have_same_photos(one, other)


def test_a_photo_of_another_label_is_another_photo(copy, evaluated, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(evaluated, other)
    file = other / "evaluation/predictions.csv"
    table = read_table(file)
    write_table(dataclasses.replace(table, label=table.label[::-1]), file)
    with pytest.raises(TableError, match="other photos"):
        stn_jax.evaluate(copy, compare=[other])


def test_a_run_without_a_zoom_is_not_called_the_zoom(copy, evaluated):
    table = read_table(copy / "evaluation/predictions.csv")
    metrics = stn_jax.evaluate(copy, compare=[evaluated])
    assert metrics["crop"] == "the learned zoom"
    whole = "the whole photo, shrunk (no zoom)"
    (copy / "evaluation/metrics.json").write_text(json.dumps(metrics | {"crop": whole}))
    console = Console(file=io.StringIO(), width=200)
    evaluate_predictions(copy / "evaluation/predictions.csv", console=console)
    assert f"With {whole} {int(table.correct.sum())} of 22" in console.file.getvalue()
    report = (copy / "evaluation/report.html").read_text()
    assert f"<th>{whole}</th>" in report
    assert "learned crops" not in report


def test_the_report_says_by_what_the_weights_were_chosen(copy):
    words = "chosen by validation loss"
    assert words in (copy / "evaluation/report.html").read_text()
    shutil.rmtree(copy / "best")
    assert stn_jax.evaluate(copy)["model"]["by_validation"] is False
    assert words not in (copy / "evaluation/report.html").read_text()


def test_where_patients_have_several_photos_the_test_of_pairs_is_warned_of(copy):
    words = "McNemar's test takes photos of one patient for independent"
    assert words not in (copy / "evaluation/report.html").read_text()
    file = copy / "evaluation/predictions.csv"
    table = read_table(file)
    pairs = np.array([f"patient {place // 2}" for place in range(len(table))], object)
    write_table(dataclasses.replace(table, group=pairs), file)
    evaluate_predictions(file)
    assert words in (copy / "evaluation/report.html").read_text()


def test_names_with_brackets_are_printed_as_they_are(make_predictions, tmp_path):
    table = make_predictions(40, classes=("old [b]", "new [/b]"))
    write_table(table, tmp_path / "mine [x].csv")
    console = Console(file=io.StringIO(), width=200)
    evaluate_predictions(tmp_path / "mine [x].csv", console=console)
    for name in ("of old [b]", "of new [/b]", "mine [x].csv"):
        assert name in console.file.getvalue()


def test_the_report_says_what_its_promise_is_about_and_when_the_test_contradicts_it(
    make_predictions, tmp_path
):
    write_table(make_predictions(300, sharpness=4.0), tmp_path / "predictions_val.csv")
    for sharpness, contradicted in ((4.0, False), (1.0, True)):
        write_table(make_predictions(300, sharpness=sharpness), tmp_path / "predictions.csv")
        evaluate_predictions(tmp_path / "predictions.csv")
        report = (tmp_path / "report.html").read_text()
        assert "300 validation photos" in report
        assert "150 validation photos, one of each patient: for photos drawn like those" in report
        assert ("These photos contradict that." in report) is contradicted
    assert "unknown: the table says nothing of the training" in report
    assert "never seen" not in report
    evaluate_predictions(tmp_path / "predictions_val.csv")
    assert "150 of these very photos" in (tmp_path / "val/report.html").read_text()


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (0, "unknown: no patients were named"),
        (20, "excluded for 20 photos of 10 groups, unknown for 2"),
        (22, "excluded: 11 groups in this split"),
    ],
)
def test_the_report_says_of_which_photos_the_patient_is_unknown(copy, named, words):
    file = copy / "evaluation" / "predictions.csv"
    group = [f"p{place // 2}" if place < named else "" for place in range(22)]
    write_table(dataclasses.replace(read_table(file), group=np.array(group, object)), file)
    evaluate_predictions(file)
    assert words in (copy / "evaluation" / "report.html").read_text()


def test_the_report_shows_no_figure_of_an_earlier_evaluation(copy):
    folder = copy / "evaluation"
    table = read_table(folder / "predictions.csv")
    assert not table.correct.all()
    assert "Wrong, and the surest of it" in (folder / "report.html").read_text()
    (folder / "predictions_val.csv").unlink()
    write_table(dataclasses.replace(table, label=table.predicted), folder / "predictions.csv")
    evaluate_predictions(folder / "predictions.csv")
    report = (folder / "report.html").read_text()
    assert "22 of 22 right" in report
    assert "Wrong, and the surest of it" not in report
    assert not (folder / "figures" / "surest_wrong.svg").exists()


def test_what_is_answered_of_this_test_is_not_called_every_photo(
    make_predictions, tmp_path, capsys
):
    sure = make_predictions(600, sharpness=2.0)
    write_table(sure, tmp_path / "predictions_val.csv")
    metrics = evaluate_predictions(tmp_path / "predictions_val.csv", target_error=0.05)
    threshold = metrics["selective"]["threshold"]
    assert threshold > 0.5
    surest = np.flatnonzero(read_table(tmp_path / "val" / "predictions.csv").accepted)
    write_table(sure.rows(surest), tmp_path / "predictions.csv")
    capsys.readouterr()
    evaluate_predictions(tmp_path / "predictions.csv", target_error=0.05)
    report = (tmp_path / "report.html").read_text()
    assert f"{len(surest)} of {len(surest)} photos answered" in report
    assert "It may answer every photo" not in report
    assert "Answers every photo" not in capsys.readouterr().out


def test_a_promise_is_not_rounded(make_predictions, tmp_path, capsys):
    for name in ("predictions.csv", "predictions_val.csv"):
        write_table(make_predictions(3000, sharpness=40.0), tmp_path / name)
    metrics = evaluate_predictions(
        tmp_path / "predictions.csv", target_error=0.004, certainty=0.995
    )
    assert metrics["selective"]["threshold"] is not None
    said = "with 99.5 % certainty, at most 0.4 % of"
    assert said in (tmp_path / "report.html").read_text()
    assert said in " ".join(capsys.readouterr().out.split())


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


def test_photos_that_changed_since_training_are_refused(copy):
    facts = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(facts | {"data_fingerprint": "0" * 64}))
    with pytest.raises(DataError, match="not those of the training"):
        stn_jax.evaluate(copy)


@pytest.mark.slow
def test_generated_lesions_are_called_synthetic_as_well(tiny_config, tmp_path, capsys):
    made = SyntheticConfig(kind="lesions", train=32, val=16, test=16)
    config = dataclasses.replace(
        tiny_config,
        data=dataclasses.replace(tiny_config.data, synthetic=made),
        train=dataclasses.replace(tiny_config.train, steps=1),
    )
    stn_jax.train(config, tmp_path)
    capsys.readouterr()
    assert stn_jax.evaluate(tmp_path)["synthetic"] is True
    assert "16 test SYNTHETIC photos (no skin)" in capsys.readouterr().out
    assert "SYNTHETIC. Every photo" in (tmp_path / "evaluation/report.html").read_text()
    assert "SYNTHETIC photos" in (tmp_path / "evaluation/figures/confusion.svg").read_text()


def test_report_is_one_file_with_its_banner_and_counts(evaluated):
    report = (evaluated / "evaluation/report.html").read_text()
    metrics = metrics_of(evaluated)
    assert f"{metrics['correct']} of 22 right" in report
    assert "SYNTHETIC" in report
    assert "not a medical device" in report
    assert "http" not in report.replace("http-equiv", "")
    assert report.count("data:image/png;base64,") >= 8


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Skin type", "Skin types"),
        ("SKIN_TYPE", "Skin types"),
        ("Age", "Ages"),
        ("age_group", "Ages"),
        ("Site", "Body sites"),
    ],
)
def test_the_model_card_knows_columns_however_written(make_predictions, tmp_path, column, words):
    table = dataclasses.replace(make_predictions(40), metadata={column: ("1", "2") * 20})
    write_report(tmp_path, _metrics_alone(table), filmstrip=tmp_path / "none.png")
    report = (tmp_path / "report.html").read_text()
    assert f"<tr><th>{words}</th><td>see the slices above</td></tr>" in report
    assert report.count("unknown: no such column was given") == 2


def _metrics_alone(table):
    return summarise(table, repeats=20) | _known_facts(Path("mine.csv"))


def test_every_rate_of_a_class_has_its_counts(make_predictions, tmp_path):
    table = make_predictions(60, classes=("acne", "eczema", "psoriasis"))
    write_table(table, tmp_path / "mine.csv")
    metrics = evaluate_predictions(tmp_path / "mine.csv")
    report = (tmp_path / "report.html").read_text()
    for index, scores in enumerate(metrics["per_class"].values()):
        confusion = np.array(metrics["confusion"])
        called, others = confusion[:, index], np.delete(confusion, index, axis=0)
        counts = {
            "specificity": (others.sum() - others[:, index].sum(), others.sum()),
            "precision": (called[index], called.sum()),
        }
        for name, (count, n) in counts.items():
            assert scores[name]["value"] == pytest.approx(count / n)
            row = rf"\({name}\)</th><td>{count} of {n}</td><td>{100 * count / n:.1f} %</td>"
            assert re.search(row, report)


def test_report_escapes_names(make_predictions, tmp_path):
    table = make_predictions(40, classes=("<script>alert(1)</script>", "b"))
    write_table(table, tmp_path / "mine.csv")
    evaluate_predictions(tmp_path / "mine.csv")
    report = (tmp_path / "report.html").read_text()
    assert "<script>" not in report
    assert "&lt;script&gt;" in report


def test_real_photos_carry_no_banner(make_predictions, tmp_path):
    write_table(make_predictions(40), tmp_path / "mine.csv")
    evaluate_predictions(tmp_path / "mine.csv")
    assert "SYNTHETIC" not in (tmp_path / "report.html").read_text()


def test_summary_is_printed_with_counts(copy, capsys):
    metrics = stn_jax.evaluate(copy)
    printed = capsys.readouterr().out
    assert f"{metrics['correct']} of 22" in printed
    assert "SYNTHETIC" in printed
    assert "at least 95 % sure" in printed
    assert "report.html" in printed


def test_calling_every_photo_the_commonest_stands_beside_the_rate(
    make_predictions, tmp_path, capsys
):
    table = make_predictions(60, classes=("eczema", "psoriasis"))
    unbalanced = np.concatenate(
        [np.flatnonzero(table.label == 1), np.flatnonzero(table.label == 0)[:6]]
    )
    write_table(table.rows(unbalanced), tmp_path / "mine.csv")
    evaluate_predictions(tmp_path / "mine.csv")
    words = "Always calling it the commonest, {}, would be right for 30 of 36 (83.3 %)."
    report = (tmp_path / "report.html").read_text()
    assert words.format("<bdi>psoriasis</bdi>") in report
    assert "Guessing" not in report
    assert words.format("psoriasis") in " ".join(capsys.readouterr().out.split())


def test_what_the_first_weights_had_learned_from_stands_beside_the_rate(copy, capsys):
    described = json.loads((copy / "run.json").read_text())
    described |= {"learned_before": ["scin", "SYNTHETIC"]}
    (copy / "run.json").write_text(json.dumps(described))
    stn_jax.evaluate(copy)
    words = "had learned from scin, then generated photos (SYNTHETIC)"
    assert f"Before its own photos, it {words}." in " ".join(capsys.readouterr().out.split())
    report = (copy / "evaluation" / "report.html").read_text()
    assert f"Before its own photos, it {words}." in report
    assert f"from weights that {words};" in report


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
