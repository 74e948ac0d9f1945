"""What the report says: for whom, of what, and never more than the numbers."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import stn_jax
import stn_jax.cli
from stn_jax.config import SyntheticConfig
from stn_jax.evaluation.evaluate import evaluate_predictions
from stn_jax.evaluation.facts import known_facts
from stn_jax.evaluation.report import write_report
from stn_jax.evaluation.summary import summarise
from stn_jax.evaluation.table import read_table, write_table
from stn_jax.evaluation.words import number, percent


def test_the_report_says_by_what_the_weights_were_chosen(copy):
    words = "chosen by validation loss"
    assert words in (copy / "evaluation/report.html").read_text()
    shutil.rmtree(copy / "best")
    assert stn_jax.evaluate(copy)["model"]["by_validation"] is False
    assert words not in (copy / "evaluation/report.html").read_text()


def test_where_patients_have_several_photos_the_test_of_pairs_counts_patients(copy):
    words = "These p take patients, not photos, for independent."
    assert words not in (copy / "evaluation/report.html").read_text()
    file = copy / "evaluation/predictions.csv"
    table = read_table(file)
    pairs = np.array([f"patient {place // 2}" for place in range(len(table))], object)
    write_table(dataclasses.replace(table, group=pairs), file)
    evaluate_predictions(file)
    assert words in (copy / "evaluation/report.html").read_text()


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


@pytest.mark.parametrize(
    ("count", "of", "digits", "text"),
    [
        (599, 600, 1, "99.8 %"),
        (4999, 5000, 1, "99.98 %"),
        (1, 5000, 1, "0.02 %"),
        (299, 300, 0, "99.7 %"),
        (300, 300, 0, "100 %"),
        (0, 300, 1, "0.0 %"),
        (151, 200, 1, "75.5 %"),
    ],
)
def test_a_share_is_not_rounded_to_all_or_nothing(count, of, digits, text):
    assert percent(count / of, digits) == text


def test_an_area_is_not_rounded_to_all_or_nothing_either():
    assert [number(value) for value in (1.0, 0.99996, 0.0004, 0.0)] == [
        "1.000",
        "0.99996",
        "0.0004",
        "0.000",
    ]
    assert number(2.0, 1) == "2.0"


def test_one_mistake_in_thousands_is_told_everywhere(make_predictions, tmp_path, capsys):
    table = make_predictions(3000, sharpness=40.0)
    wrong = np.concatenate([[1 - table.label[0]], table.label[1:]])
    table = dataclasses.replace(table, label=wrong, group=np.full(3000, "", object))
    write_table(table, tmp_path / "predictions.csv")
    evaluate_predictions(tmp_path / "predictions.csv")
    report = (tmp_path / "report.html").read_text()
    assert "2999 of 3000 right: 99.97 %" in report
    assert "the true rate is between 99.8 and 99.99 %" in report
    assert "2999 of 3000" in (shown := capsys.readouterr().out)
    assert re.search(r"right +│ 2999 of 3000 │ +99.97 %", shown)
    assert "99.9 %" in (tmp_path / "figures" / "confusion.svg").read_text()


def test_a_promise_is_of_the_patients_of_the_validation_photos(make_predictions, tmp_path):
    alone = np.full(60, "", object)
    test = dataclasses.replace(make_predictions(60), group=alone)
    validation = make_predictions(60, prefix="v")
    for groups, each in ((alone, ""), (validation.group, ", each of another patient")):
        tables = {"predictions.csv": test}
        tables["predictions_val.csv"] = dataclasses.replace(validation, group=groups)
        for name, table in tables.items():
            write_table(table, tmp_path / name)
        needed = evaluate_predictions(tmp_path / "predictions.csv")["selective"]["photos_needed"]
        report = (tmp_path / "report.html").read_text()
        assert f"at least {needed} more validation photos{each}." in report


def test_no_rate_on_photos_it_was_built_with_is_called_the_true_one(make_predictions, tmp_path):
    for name in ("predictions.csv", "predictions_val.csv"):
        write_table(make_predictions(60), tmp_path / name)
    for name, report, said in (
        ("predictions.csv", "report.html", "the true rate is between"),
        ("predictions_val.csv", "val/report.html", "expect fewer right. No interval here covers"),
    ):
        evaluate_predictions(tmp_path / name)
        words = (tmp_path / report).read_text()
        assert said in words
        assert ("the true rate is" in words) == (report == "report.html")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(1, "although it was not too sure of these"), (10, "it was too sure of these photos")],
)
def test_what_a_temperature_says_of_the_photos_is_true(make_predictions, tmp_path, wrong, said):
    """Of 20 photos, each called with 95 %, one wrong is what that says, and ten are too many."""
    raw = np.tile([0.95, 0.05], (20, 1))
    table = dataclasses.replace(make_predictions(20), raw=raw, probabilities=raw)
    table = dataclasses.replace(table, label=(np.arange(20) < wrong).astype(int))
    write_table(table, tmp_path / "predictions_val.csv")
    write_table(make_predictions(20), tmp_path / "predictions.csv")
    assert evaluate_predictions(tmp_path / "predictions.csv")["temperature"] > 1
    assert f"above 1{':' if wrong == 10 else ','} {said}" in (tmp_path / "report.html").read_text()


def test_what_a_class_without_photos_leaves_undefined_is_said(make_predictions, tmp_path):
    table = make_predictions(60)
    only = table.rows(np.flatnonzero(table.label == 1))
    write_report(tmp_path, _metrics_alone(only), filmstrip=tmp_path / "none.png")
    report = (tmp_path / "report.html").read_text()
    for name in ("area under the ROC curve", "average precision"):
        row = rf"{name} \(psoriasis\)</th>\s*<td></td><td>-</td><td>only photos of psoriasis</td>"
        assert re.search(row, report)
    assert "balanced accuracy (of the classes that have photos)" in report


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
    metrics = json.loads((evaluated / "evaluation/metrics.json").read_text())
    assert f"{metrics['correct']} of 22 right" in report
    assert "SYNTHETIC" in report
    assert "not a medical device" in report
    assert "http" not in report.replace("http-equiv", "")
    assert report.count("data:image/png;base64,") >= 8


@pytest.mark.parametrize(
    ("column", "words", "others"),
    [
        ("Skin type", "Skin types", ["age or age_group", "site"]),
        ("SKIN_TYPE", "Skin types", ["age or age_group", "site"]),
        ("Age", "Ages", ["skin_type", "site"]),
        ("age_group", "Ages", ["skin_type", "site"]),
        ("Site", "Body sites", ["skin_type", "age or age_group"]),
    ],
)
def test_the_model_card_knows_columns_however_written(
    make_predictions, tmp_path, column, words, others
):
    table = dataclasses.replace(make_predictions(40), metadata={column: ("1", "2") * 20})
    write_report(tmp_path, _metrics_alone(table), filmstrip=tmp_path / "none.png")
    report = (tmp_path / "report.html").read_text()
    assert f"<tr><th>{words}</th><td>see the slices above</td></tr>" in report
    assert re.findall("unknown: no column (.+) was given", report) == others


def _metrics_alone(table):
    return summarise(table, repeats=20) | known_facts(Path("mine.csv"))


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
            assert (scores[name]["count"], scores[name]["of"]) == (count, n)
            assert scores[name]["value"] == pytest.approx(count / n)
            counts_in_row = rf'<td class="count">{count} of {n}</td>'
            row = rf"\({name}\)</th>{counts_in_row}<td>{100 * count / n:.1f} %</td>"
            assert re.search(row, report)


def test_scores_by_rank_name_their_class_where_there_are_two(make_predictions, tmp_path):
    write_report(tmp_path, _metrics_alone(make_predictions(60)), filmstrip=tmp_path / "none.png")
    report = (tmp_path / "report.html").read_text()
    positive = make_predictions(60).classes[1]
    assert f"area under the ROC curve ({positive})</th>" in report
    assert f"average precision ({positive})</th>" in report


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
