"""Two runs on the same photos: what may be compared, and what the comparison is called."""

import dataclasses
import io
import json
import shutil

import pytest
from rich.console import Console

import stn_jax
import stn_jax.cli
from stn_jax.config import MnistConfig
from stn_jax.evaluation.comparison import _name_of_other, may_have_same_photos
from stn_jax.evaluation.evaluate import evaluate_predictions
from stn_jax.evaluation.table import TableError, read_table, write_table
from stn_jax.training.errors import WorkdirError
from stn_jax.training.workdir import Run, read_run


def test_another_split_is_compared_with_the_same_split(copy, evaluated):
    with pytest.raises(WorkdirError, match="not evaluated on its val photos yet"):
        stn_jax.evaluate(copy, split="val", compare=[evaluated])
    stn_jax.evaluate(copy, split="val")
    metrics = stn_jax.evaluate(copy, split="val", compare=[copy])
    assert metrics["compared"][0]["correct"] == metrics["correct"]
    again = evaluate_predictions(copy / "evaluation/val/predictions.csv")
    assert json.loads(json.dumps(metrics)) == json.loads(json.dumps(again))


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


def test_a_comparison_of_a_version_that_wrote_no_counts_is_reported(copy, evaluated):
    stn_jax.evaluate(copy, compare=[evaluated])
    file = copy / "evaluation" / "metrics.json"
    metrics = json.loads(file.read_text())
    for name in ("count", "of"):
        del metrics["compared"][0]["accuracy"][name]
    file.write_text(json.dumps(metrics))
    evaluate_predictions(copy / "evaluation/predictions.csv")
    count = f'<td class="count">{metrics["correct"]} of {metrics["n"]}</td>'
    report = (copy / "evaluation/report.html").read_text()
    assert f"trained by itself</th>{count}" in report.replace("\n", "")


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
    metrics = json.loads((other / "evaluation/metrics.json").read_text())
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
    for changed in (
        {"crop_size": (15, 21)},
        {"channels": ((3,),)},
        {"dense": (2,)},
        {"dropout": 0.1},
        {"batch_norm": True},
        {"global_pool": True},
    ):
        other = name_of(transform="centre", **changed)
        assert other == f"the run in {tmp_path}, on a fixed centre crop"
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
