"""What a person sees, and what programs read."""

import errno
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from tensorboardX.record_writer import RecordWriter
from tiny_runs import sessions

from stn_jax.training import board
from stn_jax.training import reporter as reporter_module
from stn_jax.training.reporter import Reporter
from stn_jax.training.workdir import append_metrics, drop_metrics_after

VALUES = {
    "train/loss": 0.5,
    "train/accuracy": 0.75,
    "train/scale": 0.4,
    "train/photos_per_second": 12.0,
}


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told to."""
    now = [0.0]
    monkeypatch.setattr(reporter_module.time, "monotonic", lambda: now[0])
    return now


def printed(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, soft_wrap=True)


def test_lines_become_rarer_without_a_terminal(tmp_path, clock):
    console = printed()
    with Reporter(tmp_path, steps=1000, console=console) as reporter:
        reporter.start(0)
        for step in range(1, 301):
            clock[0] += 1.0
            reporter.log(step, VALUES)
    steps = [int(s) for s in re.findall(r"step (\d+)/1000", console.file.getvalue())]
    assert steps == [5, 15, 35, 75, 135, 195, 255]


def test_a_line_says_how_it_goes_and_how_long_it_takes(tmp_path, clock):
    console = printed()
    with Reporter(tmp_path, steps=1000, console=console) as reporter:
        reporter.start(500)
        clock[0] += 100.0
        reporter.saved(600)
        reporter.log(600, VALUES)
        reporter.log(600, {"val/loss": 0.25, "val/accuracy": 0.9})
    lines = console.file.getvalue().splitlines()
    assert lines == [
        "step 600/1000  loss 0.500  accuracy 0.75  scale 0.40  12.0 photos/s  saved 600  "
        "about 7 min left",
        "step 600/1000  validation: loss 0.250  accuracy 0.900",
    ]


@pytest.mark.parametrize(
    ("seconds_a_step", "left"),
    [(0.1, "about 2 min"), (6.0, "about 95 min"), (26.0, "about 6.9 h")],
)
def test_the_time_left_is_said_in_a_unit_that_fits(tmp_path, clock, seconds_a_step, left):
    console = printed()
    with Reporter(tmp_path, steps=1000, console=console) as reporter:
        reporter.start(0)
        clock[0] += 50 * seconds_a_step
        reporter.log(50, VALUES)
    assert console.file.getvalue().endswith(f"  {left} left\n")


def test_a_terminal_gets_a_bar_over_the_whole_run(tmp_path):
    console = printed(terminal=True)
    with Reporter(tmp_path, steps=1000, console=console) as reporter:
        reporter.start(600)
        reporter.advance(601)
        reporter.log(601, VALUES)
        reporter.saved(601)
    text = console.file.getvalue()
    assert "601/1000" in text
    assert "loss 0.500" in text
    assert "saved 601" in text


def test_metrics_are_one_object_a_line(tmp_path):
    with Reporter(tmp_path, steps=10, console=printed()) as reporter:
        reporter.log(1, VALUES)
        reporter.log(2, VALUES)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, **VALUES}, {"step": 2, **VALUES}]
    append_metrics(tmp_path, {"step": 3})
    drop_metrics_after(tmp_path, 1, evaluated=0)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_tensorboard_gets_scalars_crops_and_theta(tmp_path):
    theta = np.zeros((2, 2, 3), np.float32)
    with Reporter(tmp_path, steps=10, console=printed()) as reporter:
        reporter.log(1, VALUES)
        reporter.show_crops(1, theta, np.full((2, 8, 12, 3), 100.0, np.float32))
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    for tag in (b"train/loss", b"crops", b"theta"):
        assert tag in content


def test_tensorboard_takes_back_what_came_after_the_last_checkpoint_and_no_more(tmp_path):
    for step, done in ((0, [0, 10, 20]), (10, [10, 17])):
        with Reporter(tmp_path, steps=30, console=printed()) as reporter:
            reporter.drop_after(step)
            for each in done:
                reporter.log(each, {"train/loss": 0.5})
    # From a session's first step on, TensorBoard forgets what the sessions before it hold.
    assert [(first, [step for step, _ in events]) for first, events in sessions(tmp_path)] == [
        (0, [0, 10, 20]),
        (11, [10, 17]),
    ]


def test_tensorboard_says_at_once_that_the_disk_is_full(tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Reporter(tmp_path, steps=100, console=printed()) as reporter:
        reporter.log(1, VALUES)
        monkeypatch.setattr(RecordWriter, "write", no_room)
        with pytest.raises(OSError, match="No space left"):
            reporter.log(2, VALUES)
        monkeypatch.undo()
        # There is room again, and nobody waits for ever.
        for step in range(3, 60):
            reporter.log(step, VALUES)


def test_a_full_disk_at_the_end_does_not_hide_what_went_wrong(tmp_path, monkeypatch):
    close = RecordWriter.close

    def no_room(writer):
        close(writer)
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail(reporter):
        reporter.log(1, VALUES)
        raise KeyError("first")

    monkeypatch.setattr(RecordWriter, "close", no_room)
    with pytest.raises(KeyError, match="first"), Reporter(tmp_path, steps=9) as reporter:
        fail(reporter)
    with pytest.raises(OSError, match="No space"), Reporter(tmp_path, steps=9) as reporter:
        reporter.log(1, VALUES)


def test_events_are_on_the_disk_after_a_while(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    open_board = board.Board(tmp_path, step=0)
    open_board.add_scalars(1, {"train/loss": 0.5})
    (events,) = tmp_path.iterdir()
    assert b"train/loss" not in events.read_bytes()
    now[0] = 11.0
    open_board.add_scalars(2, {"train/loss": 0.5})
    assert b"train/loss" in events.read_bytes()
    open_board.close()


def test_nothing_is_written_before_there_is_something_to_write(tmp_path):
    with Reporter(tmp_path, steps=10, console=printed()) as reporter:
        reporter.say("a [bold] word is no markup")
    assert list(tmp_path.iterdir()) == []


def test_training_goes_on_when_nobody_reads_its_output_any_more():
    program = """
import pathlib, sys
from stn_jax.training.reporter import Reporter

with Reporter(pathlib.Path("."), steps=9) as reporter:
    for _ in range(20_000):
        reporter.say("a line")
print("the last line")
print("still here", file=sys.stderr)
"""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], **options) as reporting:
        reporting.stdout.close()
        assert reporting.stderr.read() == "still here\n"
    assert reporting.returncode == 0
