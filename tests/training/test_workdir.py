"""The resume contract, and the lock."""

import dataclasses
import errno
import fcntl
import json
import os
import shlex
import subprocess
import sys

import pytest

from stn_jax.config import Config
from stn_jax.training.errors import WorkdirError
from stn_jax.training.workdir import (
    Run,
    append_metrics,
    command_for,
    current_versions,
    drop_metrics_after,
    locked,
    read_metrics,
    read_run,
    start_or_resume,
    write_atomically,
)


@pytest.fixture
def run() -> Run:
    return Run(
        config=Config(),
        classes=("eczema", "psoriasis"),
        mean_color=(1.0, 2.0, 3.0),
        data_name="photos",
        data_fingerprint="abc",
        versions=current_versions(),
        git_revision="1234",
    )


def changed(run: Run, part: str, **values) -> Run:
    config = run.config
    new = dataclasses.replace(getattr(config, part), **values)
    return dataclasses.replace(run, config=dataclasses.replace(config, **{part: new}))


def begin(workdir, run):
    """A run that has come as far as its first checkpoint."""
    start_or_resume(workdir, run)
    (workdir / "checkpoints" / "250").mkdir(parents=True)


def test_a_run_is_read_as_it_was_written(run, tmp_path):
    assert start_or_resume(tmp_path, run) == []
    assert read_run(tmp_path) == run
    assert {"jax", "flax", "optax", "orbax-checkpoint", "numpy", "grain"} <= run.versions.keys()


@pytest.mark.parametrize(
    ("part", "values", "line"),
    [
        ("model", {"dropout": 0.25}, "model.dropout: 0.5 -> 0.25"),
        ("data", {"photo_size": (630, 1260)}, r"data.photo_size: \(630, 945\) -> \(630, 1260\)"),
        ("train", {"batch_size": 5}, "train.batch_size: 15 -> 5"),
        ("train", {"seed": 1}, "train.seed: 0 -> 1"),
        ("train", {"precision": "bfloat16"}, "train.precision: float32 -> bfloat16"),
    ],
)
def test_another_experiment_is_refused(run, tmp_path, part, values, line):
    begin(tmp_path, run)
    with pytest.raises(WorkdirError, match=line):
        start_or_resume(tmp_path, changed(run, part, **values))
    assert read_run(tmp_path) == run


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"data_fingerprint": "xyz"}, "data_fingerprint: abc -> xyz"),
        ({"classes": ("acne", "eczema")}, r"classes: \('eczema', 'psoriasis'\) -> \('acne'"),
    ],
)
def test_other_photos_are_refused(run, tmp_path, values, line):
    begin(tmp_path, run)
    with pytest.raises(WorkdirError, match=line):
        start_or_resume(tmp_path, dataclasses.replace(run, **values))


def test_all_differences_are_listed(run, tmp_path):
    begin(tmp_path, run)
    other = changed(changed(run, "model", dropout=0.1, dense=(8,)), "train", seed=3, steps=5)
    with pytest.raises(WorkdirError) as caught:
        start_or_resume(tmp_path, other)
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:-1]] == [
        "model.dense",
        "model.dropout",
        "train.seed",
    ]


def test_safe_changes_are_taken_and_noted(run, tmp_path):
    begin(tmp_path, run)
    longer = changed(run, "train", steps=20_000, checkpoint_every=50, log_every=1)
    notes = start_or_resume(tmp_path, longer)
    assert "train.steps is now 20000 (was 10000)" in notes
    assert len(notes) == 3
    assert read_run(tmp_path).config == longer.config


def test_other_code_and_versions_are_noted(run, tmp_path):
    begin(tmp_path, run)
    versions = {**run.versions, "jax": "99.0"}
    newer = dataclasses.replace(run, versions=versions, git_revision="5678")
    assert start_or_resume(tmp_path, newer) == [
        f"version of jax is now 99.0 (was {run.versions['jax']})",
        "git revision is now 5678 (was 1234)",
    ]


def test_a_version_that_was_not_written_down_is_not_said_to_have_changed(run, tmp_path):
    versions = {name: version for name, version in run.versions.items() if name != "grain"}
    begin(tmp_path, dataclasses.replace(run, versions=versions))
    assert start_or_resume(tmp_path, run) == []


def test_before_the_first_checkpoint_everything_may_change(run, tmp_path):
    """A batch that was too large, say: there is nothing to lose yet."""
    start_or_resume(tmp_path, run)
    # What a kill during the first save leaves.
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir(parents=True)
    other = changed(run, "train", batch_size=5)
    assert start_or_resume(tmp_path, other) == []
    assert read_run(tmp_path) == other


def test_checkpoints_of_which_nothing_says_what_they_are_are_refused(run, tmp_path):
    start_or_resume(tmp_path, run)
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WorkdirError, match=r"has checkpoints but no config\.json"):
        start_or_resume(tmp_path, run)


def test_length_of_a_cosine_is_no_safe_change(run, tmp_path):
    cosine = changed(run, "train", schedule="cosine")
    begin(tmp_path, cosine)
    with pytest.raises(WorkdirError, match=r"train\.steps: 10000 -> 20000"):
        start_or_resume(tmp_path, changed(cosine, "train", steps=20_000))


def test_fewer_steps_than_are_done_are_refused(run, tmp_path):
    begin(tmp_path, run)
    with pytest.raises(WorkdirError, match=r"has done 250 steps, more than --train\.steps 249"):
        start_or_resume(tmp_path, changed(run, "train", steps=249))
    assert read_run(tmp_path) == run
    assert start_or_resume(tmp_path, changed(run, "train", steps=250))


def test_no_run_and_damaged_run(run, tmp_path):
    with pytest.raises(WorkdirError, match="holds no run"):
        read_run(tmp_path)
    begin(tmp_path, run)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(WorkdirError, match="damaged"):
        read_run(tmp_path)


def test_commands_can_be_pasted_whatever_the_workdir_is_called(tmp_path):
    workdir = tmp_path / "Anna's run"
    words = ["python", "evaluate.py", "--split", "val", "--workdir", str(workdir)]
    assert shlex.split(command_for(workdir, "evaluate.py", "--split", "val")) == words
    with pytest.raises(WorkdirError) as caught:
        read_run(workdir)
    assert shlex.split(str(caught.value).partition("Train one: ")[2])[-1] == str(workdir)


def test_a_second_trainer_is_refused(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(WorkdirError, match=rf"another training process \(pid {os.getpid()}\)"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(WorkdirError, match=r"has no locks \(Function not"), locked(tmp_path):
        pass


def test_the_lock_dies_with_its_process(tmp_path):
    code = (
        "import os, sys; from pathlib import Path;"
        "from stn_jax.training.workdir import locked;"
        "locked(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with locked(tmp_path):
        pass


def test_metrics_after_a_step_are_taken_back(tmp_path):
    drop_metrics_after(tmp_path, 0, evaluated=0)
    for step in (1, 2, 3):
        append_metrics(tmp_path, {"step": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "train/lo')  # half a line, as a killed process leaves it
    drop_metrics_after(tmp_path, 2, evaluated=2)
    append_metrics(tmp_path, {"step": 9})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 9]


def test_evaluations_that_are_made_again_are_taken_back(tmp_path):
    append_metrics(tmp_path, {"step": 5, "val/loss": 0.5})
    append_metrics(tmp_path, {"step": 7, "train/loss": 0.4})
    append_metrics(tmp_path, {"step": 7, "val/loss": 0.6})
    drop_metrics_after(tmp_path, 7, evaluated=5)
    kept = read_metrics(tmp_path / "metrics.jsonl")
    assert kept == [{"step": 5, "val/loss": 0.5}, {"step": 7, "train/loss": 0.4}]


@pytest.mark.parametrize("damage", ["\0\0\0\0\n", '{"step": 2, "tr', "[1, 2]\n", "{}\n"])
def test_damaged_lines_of_metrics_are_passed_over(tmp_path, damage):
    append_metrics(tmp_path, {"step": 1})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(damage)
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1}]
    drop_metrics_after(tmp_path, 1, evaluated=1)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_a_failed_write_leaves_the_old_text(tmp_path):
    write_atomically(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "a", "\ud800")
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_in_which_orbax_would_lose_checkpoints_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match="must not hold a"), locked(tmp_path / "b [x]"):
        pass
    assert not list(tmp_path.iterdir())
