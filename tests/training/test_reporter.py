"""What a person sees, and what programs read."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

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
    drop_metrics_after(tmp_path, 1)
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


def test_nothing_is_written_before_there_is_something_to_write(tmp_path):
    with Reporter(tmp_path, steps=10, console=printed()) as reporter:
        reporter.say("a [bold] word is no markup")
    assert list(tmp_path.iterdir()) == []
