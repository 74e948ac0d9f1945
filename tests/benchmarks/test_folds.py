"""The comparison on real photos: what it counts, and that what is done is not done again."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import folds, pooled, runs
from stn_jax.data.errors import DataError
from stn_jax.evaluation.intervals import wilson
from stn_jax.evaluation.table import make_table, write_table
from stn_jax.training.loop import Outcome

OPTIONS = folds.Options(
    root="photos",
    folds=2,
    steps=6,
    pretrained_steps=5,
    lesions_steps=3,
    paper_steps=4,
    eval_every=2,
    seed=8,
    photo_size=(126, 189),
    crop_size=(42, 63),
)


def make_run(name, fold, labels, malignant):
    """A run whose test photos have these labels and probabilities of the second class."""
    malignant = np.array(malignant)
    width, height = 189.0, 126.0
    half = 0.5 * np.array([width, height]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + [width / 2, height / 2]
    table = make_table(
        classes=("benign", "malignant"),
        file=[f"{fold}/{i}.jpg" for i in range(len(labels))],
        label=labels,
        raw=np.stack([1 - malignant, malignant], axis=1),
        area=np.repeat(corners[None], len(labels), axis=0),
    )
    metrics = {
        "photo_size": [126, 189],
        "model": {"step": 10 * fold, "weights": 7},
        "git_revision": "abc",
    }
    return pooled.Tested(name, fold, table, metrics, cpu_seconds=3.0)


FIRST = [
    make_run("a", 0, [0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9]),
    make_run("a", 1, [0, 1, 0, 1], [0.2, 0.1, 0.3, 0.8]),
]


def test_counts_are_pooled_over_the_folds_and_aurocs_are_not():
    result = pooled.pool(FIRST)
    assert (result["photos"], result["folds"]) == (8, [0, 1])
    assert result["right"]["count"] == 6
    assert result["right"]["low"] < result["right"]["value"] == 0.75 < result["right"]["high"]
    assert [result["found"][name]["count"] for name in ("benign", "malignant")] == [3, 3]
    assert result["auroc"]["by_fold"] == [1.0, 0.5]
    assert result["auroc"]["mean"]["value"] == 0.75
    assert result["auroc"]["sd"] == pytest.approx(np.sqrt(0.125))
    assert (result["sure"]["photos"], result["sure"]["value"]) == (0, None)
    assert result["git_revisions"] == ["abc"]
    assert result["scale"] == pytest.approx(0.5)
    assert (result["best_steps"], result["training_cpu_seconds"]) == ([0, 10], [3.0, 3.0])


def test_those_it_is_at_least_95_percent_sure_of_are_counted():
    runs = [make_run("a", f, [0, 1, 0, 1], [0.02, 0.96, 0.97, 0.9]) for f in range(2)]
    sure = pooled.pool(runs)["sure"]
    assert (sure["threshold"], sure["photos"], sure["count"]) == (0.95, 6, 4)


def test_scores_of_different_folds_are_never_compared():
    shifted = [FIRST[0], make_run("a", 1, [0, 1, 0, 1], [0.02, 0.01, 0.03, 0.08])]
    assert pooled.pool(shifted)["auroc"] == pooled.pool(FIRST)["auroc"]


def test_the_interval_of_the_mean_auroc_is_that_of_the_test_photos():
    key = np.random.default_rng(0)
    label = key.integers(2, size=200)
    score = np.clip(0.5 + 0.1 * label + 0.2 * key.normal(size=200), 0.01, 0.99)
    runs = [make_run("a", f, label[f::2].tolist(), score[f::2]) for f in range(2)]
    mean = pooled.pool(runs)["auroc"]["mean"]
    assert mean["low"] < mean["value"] < mean["high"]
    # Hanley and McNeil's standard error of an AUROC near 0.64 from 100 and 100 photos is 0.04.
    assert 0.1 < mean["high"] - mean["low"] < 0.2


def test_configurations_are_compared_on_the_folds_that_both_have(capsys):
    other = make_run("b", 0, [0, 0, 1, 1], [0.1, 0.2, 0.9, 0.3])
    first, second = pooled.summarise([FIRST[0], other, FIRST[1]])
    assert (first["configuration"], first["photos"], second["photos"]) == ("a", 8, 4)
    assert "against" not in first
    assert second["against"]["first"] == "a"
    assert second["against"]["mcnemar"] == {"ours_only": 1, "theirs_only": 1, "p": 1.0}
    assert second["against"]["auroc_difference"]["value"] == 0.0
    pooled.print_table([first, second])
    printed = capsys.readouterr().out
    assert (
        "a: right 6 of 8 (75.0 %, 40.9 % to 92.9 %); found benign 3 (75 %, 30 % to 95 %)" in printed
    )
    assert "against a: AUROC +0.000 (too few photos" in printed
    assert "right alone 1 against 1, p = 1" in printed


def test_what_is_right_stands_beside_what_calling_all_the_commonest_would_be(capsys):
    runs = [FIRST[0], make_run("a", 1, [1, 1, 1, 0], [0.2, 0.1, 0.3, 0.8])]
    pooled.print_table(pooled.summarise(runs))
    assert "  always calling it malignant: right 5 (62.5 %)\n" in capsys.readouterr().out


def test_photos_of_one_patient_are_not_taken_for_independent():
    runs = [make_run("a", fold, [0, 0, 1, 1] * 5, [0.1, 0.2, 0.4, 0.97] * 5) for fold in range(2)]
    alone = pooled.pool(runs)
    for run in runs:
        run.table.group[:] = [f"{run.fold}/{place // 4}" for place in range(20)]
    grouped = pooled.pool(runs)
    assert grouped["found"]["benign"]["count"] == alone["found"]["benign"]["count"] == 20
    # Benign photos of 10 patients, all right: as sure as of 10 photos, not of 20.
    assert grouped["found"]["benign"]["low"] == wilson(10, 10).low
    assert alone["found"]["benign"]["low"] == wilson(20, 20).low


def test_a_fold_that_is_left_one_class_has_no_auroc(capsys):
    rest = pooled.leave_out(FIRST, ["0/0.jpg", "0/1.jpg"])
    result = pooled.pool(rest)
    assert result["auroc"]["by_fold"] == [None, 0.5]
    assert result["auroc"]["sd"] is result["auroc"]["mean"]["value"] is None
    pooled.print_table([result])
    assert "AUROC - (undefined for these photos); by fold - 0.500" in capsys.readouterr().out


def test_one_mistake_among_hundreds_is_told(capsys):
    confident = [0.1] * 300 + [0.9] * 299 + [0.4]
    pooled.print_table([pooled.pool([make_run("a", 0, [0] * 300 + [1] * 300, confident)])])
    printed = capsys.readouterr().out
    assert "benign 300 (100 %, 99 % to 100 %), malignant 299 (99.7 %, 98 % to 99.9 %)" in printed


def test_a_difference_is_the_others_auroc_minus_the_firsts():
    better = make_run("b", 1, [0, 1, 0, 1], [0.2, 0.4, 0.3, 0.8])
    _, second = pooled.summarise([FIRST[1], better])
    assert second["against"]["auroc_difference"]["value"] == 0.5
    assert second["against"]["mcnemar"]["ours_only"] == 0


def test_photos_that_are_left_out_count_nowhere():
    rest = pooled.leave_out(FIRST, ["0/1.jpg", "1/1.jpg"])
    result = pooled.pool(rest)
    assert (result["photos"], result["right"]["count"]) == (6, 6)
    assert result["auroc"]["by_fold"] == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"2/0\.jpg is no test photo of any run"):
        pooled.leave_out(FIRST, ["2/0.jpg"])


def test_the_command_tells_both_with_and_without_photos(calls, tmp_path, monkeypatch, capsys):
    (tmp_path / "names.txt").write_text("0/1.jpg\n")
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "1.jpg").touch()
    options = ["--root", str(tmp_path), "--configurations", "isic2016", "--folds", "2"]
    paths = {"leave-out": "names.txt", "workdir": "runs", "output": "found.json"}
    for name, value in paths.items():
        options += [f"--{name}", str(tmp_path / value)]
    monkeypatch.setattr("sys.argv", ["folds", *options])
    monkeypatch.setattr(folds, "summarise", lambda runs: [pooled.pool(runs[:1])])
    assert folds.main() == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [found[name][0]["photos"] for name in ("results", "results_without")] == [4, 3]
    assert "without the 1 photos of" in capsys.readouterr().out


def test_photos_that_cannot_be_left_out_are_named_before_any_training(calls, tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_text("0/9.jpg\n")
    options = ["--root", str(tmp_path), "--leave-out", str(tmp_path / "names.txt")]
    monkeypatch.setattr("sys.argv", ["folds", *options])
    with pytest.raises(DataError, match=r"names 0/9\.jpg, which is no photo of"):
        folds.main()
    assert calls["train"] == 0


def test_other_photos_are_not_compared():
    with pytest.raises(ValueError, match="fold 0 has other test photos under a"):
        pooled.compare([dataclasses.replace(FIRST[1], fold=0)], [FIRST[0]])


@pytest.mark.parametrize("name", folds.CONFIGURATIONS)
def test_every_configuration_learns_from_the_same_photos(name):
    config = folds.CONFIGURATIONS[name](OPTIONS)
    data = folds.CONFIGURATIONS["isic2016"](OPTIONS).data
    for part in ("root", "photo_size", "val_size", "folds", "split_seed"):
        assert getattr(config.data, part) == getattr(data, part)
    assert config.model.crop_size == (42, 63)
    assert config.train.steps == {"paper": 4}.get(name, 5 if name in folds.BEFORE else 6)
    assert (config.train.seed, config.data.split_seed) == (8, 0)


@pytest.mark.parametrize("name", folds.BEFORE)
def test_networks_start_from_lesions_learned_by_the_same_network(name):
    config = folds.CONFIGURATIONS[name](OPTIONS)
    transform = folds.BEFORE[name]
    before = folds.lesions(OPTIONS, transform)
    assert config.model == before.model
    assert config.train.init_from == str(folds.lesions_workdir(OPTIONS, transform))
    assert (before.data.source, before.data.root) == ("synthetic", None)
    assert (before.train.steps, before.train.seed) == (3, 8)


@pytest.fixture
def calls(monkeypatch):
    """Trains and evaluates nothing, and says how often it was asked to."""
    made = {"train": 0, "evaluate": 0, "finished": True}

    def train(config, workdir):
        made["train"] += 1
        workdir.mkdir(parents=True, exist_ok=True)
        return Outcome(step=1, finished=made["finished"], workdir=workdir)

    def evaluate(workdir):
        made["evaluate"] += 1
        (workdir / "evaluation").mkdir(exist_ok=True)
        write_table(FIRST[0].table, workdir / "evaluation" / "predictions.csv")
        (workdir / "evaluation" / "metrics.json").write_text(json.dumps(FIRST[0].metrics))

    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(runs, "evaluate", evaluate)
    return made


def test_what_is_done_is_not_done_again_unless_it_is_another_experiment(calls, tmp_path):
    config = folds.isic2016(OPTIONS)
    first = folds.run("a", config, tmp_path / "run")
    again = folds.run("a", config, tmp_path / "run")
    assert (calls["train"], calls["evaluate"]) == (1, 1)
    assert again.table.file == first.table.file
    assert again.cpu_seconds == first.cpu_seconds
    folds.run("a", folds.change(config, train={"steps": 8}), tmp_path / "run")
    assert (calls["train"], calls["evaluate"]) == (2, 2)


def test_a_run_that_is_stopped_is_not_evaluated_and_goes_on(calls, tmp_path):
    calls["finished"] = False
    with pytest.raises(SystemExit, match="the same command goes on"):
        folds.run("a", folds.isic2016(OPTIONS), tmp_path / "run")
    assert calls["evaluate"] == 0
    calls["finished"] = True
    folds.run("a", folds.isic2016(OPTIONS), tmp_path / "run")
    assert (calls["train"], calls["evaluate"]) == (2, 1)
    assert len((tmp_path / "run" / "cpu_seconds.txt").read_text().split()) == 2
