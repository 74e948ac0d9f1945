"""An interrupted run equals the uninterrupted one, to the last bit."""

import dataclasses
import errno
import json
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import (
    assert_same_bits,
    finish,
    metrics,
    sessions,
    start_program,
    tiny_config,
    with_train,
    write_config,
)

import stn_jax
from stn_jax.data.builder import prepare
from stn_jax.data.pipeline import train_batches, train_dataset
from stn_jax.training.checkpoint import CheckpointStore, restore_best, restore_last
from stn_jax.training.errors import CheckpointError
from stn_jax.training.progress import Progress
from stn_jax.training.reporter import Reporter
from stn_jax.training.workdir import steps_in


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """30 steps in one go."""
    workdir = tmp_path_factory.mktemp("whole")
    stn_jax.train(tiny_config(), workdir)
    return workdir


@pytest.mark.parametrize("parts", [(13, 30), (7, 8, 30)])
def test_parts_equal_the_whole(whole, config, tmp_path, parts):
    for steps in parts:
        # A stop makes a checkpoint where it is; so does the last step of a shorter run.
        outcome = stn_jax.train(with_train(config, steps=steps), tmp_path)
        assert outcome.finished
        assert outcome.step == steps
    step, state, notes = restore_last(tmp_path)
    expected_step, expected_state, expected_notes = restore_last(whole)
    assert step == expected_step == 30
    assert_same_bits(state, expected_state)
    assert _training(metrics(tmp_path)) == _training(metrics(whole))
    assert notes["evaluated"] == expected_notes["evaluated"]


def test_the_moments_are_part_of_what_is_compared(whole):
    _, state, _ = restore_last(whole)
    moments = list(state.opt_state[0].mu["classifier"]["Dense_0"].values())
    assert all(np.abs(moment).max() > 0 for moment in moments)


def test_killed_process_equals_the_whole(whole, config, tmp_path):
    path = write_config(with_train(config, checkpoint_every=3), tmp_path)
    workdir = tmp_path / "run"
    process = start_program(path, workdir)
    _wait_for_step(workdir, 14)
    process.send_signal(signal.SIGKILL)
    finish(process)
    killed_at = metrics(workdir)[-1]["step"]
    assert killed_at < 30, "the run was over before it could be killed"
    process = start_program(path, workdir)
    output = finish(process)
    assert process.returncode == 0, output
    assert "resuming at step" in output
    step, state, notes = restore_last(workdir)
    assert step == 30
    assert_same_bits(state, restore_last(whole)[1])
    assert notes == restore_last(whole)[2]
    assert metrics(workdir) == metrics(whole)


def test_next_batch_is_the_same_wherever_reading_starts(config):
    split = prepare(config.data).splits["train"]
    read_through = train_batches(train_dataset(split, batch_size=8, seed=0), start=0)
    expected = [next(read_through) for _ in range(20)][19]
    resumed = next(train_batches(train_dataset(split, batch_size=8, seed=0), start=19))
    assert_same_bits(resumed, expected)
    assert resumed["index"].tolist() != list(range(8))


def test_a_signal_as_an_evaluation_ends_saves_all_the_same(config, tmp_path, monkeypatch):
    original = Reporter.log

    def interrupting(reporter, step, values):
        original(reporter, step, values)
        if "val/loss" in values:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Reporter, "log", interrupting)
    config = with_train(config, checkpoint_every=1000)
    assert stn_jax.train(config, tmp_path).step == 10
    assert restore_last(tmp_path)[0] == 10
    assert restore_last(tmp_path)[2]["evaluated"] == 10


def test_an_interrupted_evaluation_is_made_up_for(whole, config, tmp_path, monkeypatch):
    # The signal comes while the evaluation after step 10 reads its first batch.
    original = stn_jax.training.loop.eval_batches

    def interrupting(*args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        yield from original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("stn_jax.training.loop.eval_batches", interrupting)
        outcome = stn_jax.train(config, tmp_path)
    assert (outcome.step, outcome.finished) == (10, False)
    assert not any("val/loss" in line for line in metrics(tmp_path))
    assert stn_jax.train(config, tmp_path).finished
    assert metrics(tmp_path) == metrics(whole)
    assert [first for first, _ in sessions(tmp_path)] == [0, 11]
    assert_same_bits(restore_last(tmp_path)[1], restore_last(whole)[1])


def test_an_evaluation_made_up_for_keeps_its_best_weights(config, tmp_path):
    config = with_train(config, eval_every=1000, checkpoint_every=5)
    stn_jax.train(with_train(config, steps=5), tmp_path)
    # As if the checkpoint had been saved before that evaluation, and none could be better.
    for name, notes in (
        ("checkpoints", dataclasses.asdict(Progress())),
        ("best", {"val_loss": -1.0}),
    ):
        (tmp_path / name / "5" / "notes" / "metadata").write_text(json.dumps(notes))
        (tmp_path / name / "5" / "SHA256SUMS").unlink()
    stn_jax.train(with_train(config, steps=6), tmp_path)
    assert [line["step"] for line in metrics(tmp_path) if "val/loss" in line] == [5, 6]
    assert restore_best(tmp_path)[1] == 5


def test_a_run_killed_after_better_evaluations_than_its_last_checkpoints_goes_on(config, tmp_path):
    few = {"steps": 4, "eval_every": 1, "checkpoint_every": 1000}
    config = with_train(config, learning_rate=3e-4, seed=1, **few)
    stn_jax.train(config, tmp_path)
    losses = [line["val/loss"] for line in metrics(tmp_path) if "val/loss" in line]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True), "each evaluation must be the best so far"
    best = restore_best(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")  # as if it had been killed before the first
    assert stn_jax.train(config, tmp_path).finished
    assert restore_best(tmp_path).step == best.step == 4
    assert_same_bits(restore_best(tmp_path).variables, best.variables)


def test_a_checkpoint_knows_of_no_best_weights_that_are_not_on_the_disk(
    config, tmp_path, monkeypatch
):
    finish, save, found = CheckpointStore._finish, CheckpointStore.save, []

    def slow(store, step):
        if store._folder.name == "best":
            threading.Event().wait(0.3)
        finish(store, step)

    def watched(store, step, tree, notes):
        if "best_step" in notes:
            found.append((tmp_path / "best" / str(notes["best_step"]) / "SHA256SUMS").is_file())
        save(store, step, tree, notes)

    monkeypatch.setattr(CheckpointStore, "_finish", slow)
    monkeypatch.setattr(CheckpointStore, "save", watched)
    stn_jax.train(with_train(config, steps=2, eval_every=1, checkpoint_every=1), tmp_path)
    assert found == [True, True]


@pytest.mark.parametrize(("checkpoint_every", "reached"), [(5, 5), (1000, None)])
def test_best_weights_that_could_not_be_saved_end_the_run_before_it_counts_on_them(
    config, tmp_path, monkeypatch, checkpoint_every, reached
):
    finish = CheckpointStore._finish

    def full(store, step):
        if store._folder.name == "best":
            raise OSError(errno.ENOSPC, "No space left on device")
        finish(store, step)

    config = with_train(config, checkpoint_every=checkpoint_every)
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "_finish", full)
        with pytest.raises(CheckpointError, match=r"best .*No space left"):
            stn_jax.train(config, tmp_path)
    assert max(steps_in(tmp_path / "checkpoints"), default=None) == reached
    assert metrics(tmp_path)[-1]["step"] < 20, "not only with the next best weights"


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew_unasked(config, tmp_path):
    config = with_train(config, steps=2, eval_every=2, checkpoint_every=1)
    stn_jax.train(config, tmp_path)
    for path in (tmp_path / "checkpoints").glob("*/notes/metadata"):
        path.write_text("{}")
    with pytest.raises(CheckpointError, match=r"up to step 2, is damaged.*copy .*best to keep"):
        stn_jax.train(config, tmp_path)
    assert steps_in(tmp_path / "best") == {2}
    assert stn_jax.train(config, tmp_path).finished


def test_the_last_checkpoint_is_finished_though_the_best_weights_could_not_be_saved(
    config, tmp_path, monkeypatch
):
    finish, log, broken, finished = CheckpointStore._finish, Reporter.log, threading.Event(), []

    def full_or_slow(store, step):
        broken.wait()
        if store._folder.name == "best":
            raise OSError(errno.ENOSPC, "No space left on device")
        threading.Event().wait(0.5)
        finish(store, step)
        finished.append(step)

    def break_after_the_best(reporter, step, values):
        if step == 5:
            broken.set()
            raise RuntimeError("a defect")
        log(reporter, step, values)

    monkeypatch.setattr(CheckpointStore, "_finish", full_or_slow)
    monkeypatch.setattr(Reporter, "log", break_after_the_best)
    with pytest.raises(CheckpointError, match="No space left"):
        stn_jax.train(with_train(config, steps=9, eval_every=4, checkpoint_every=3), tmp_path)
    assert finished == [3]


def test_frames_of_a_run_without_a_checkpoint_are_taken_back(config, tmp_path):
    frames = tmp_path / "figures" / "frames"
    frames.mkdir(parents=True)
    # Of another transform, as a killed run leaves them.
    np.savez(
        frames / "step-00000004.npz", theta=np.zeros((4, 16, 2)), crops=np.zeros((4, 8, 12, 3))
    )
    stn_jax.train(with_train(config, steps=2), tmp_path)
    assert [path.name for path in sorted(frames.iterdir())] == [
        "step-00000000.npz",
        "step-00000002.npz",
    ]


def _training(lines: list[dict]) -> list[dict]:
    """Without the evaluations, which a shorter run has at its own end, too."""
    return [line for line in lines if "train/loss" in line]


def _wait_for_step(workdir: Path, step: int) -> None:
    path, nap = workdir / "metrics.jsonl", threading.Event()
    for _ in range(60_000):
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        nap.wait(0.005)
    raise TimeoutError(f"step {step} never came")
