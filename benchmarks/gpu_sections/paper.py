"""The paper's training from end to end: `stn_jax.train` on generated photos of full size.

The run is what `train.py` does, in bfloat16, with one validation, one checkpoint and one frame of
the film strip, at its end: the paper does not say how often it paused for those.
"""

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from benchmarks.change import change
from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from stn_jax.config import Config
from stn_jax.data.builder import prepare
from stn_jax.training.errors import Interrupted
from stn_jax.training.loop import train

ENDING_SHARE = 0.2
"""Part of the time that is left for the last validation, for saving, and for the other task."""


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """All batches with the photos on the device; some with the photos read from the disk."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def task(cache: Literal["device", "host"], batches: int) -> Callable[[], Row]:
            return lambda: measure(
                make_config(scale, cache, batches, place), place / cache, time_left
            )

        yield Task("making the photos", lambda: make_photos(make_config(scale, "device", 1, place)))
        yield Task(
            f"{scale.batches} batches, photos on the device",
            task("device", scale.batches),
            least=scale.starting_seconds,
        )
        yield Task(
            f"{scale.input_batches} batches, photos read from the disk",
            task("host", scale.input_batches),
            least=scale.starting_seconds,
        )


def make_photos(config: Config) -> Row:
    """Draws the photos and writes them as the input pipeline wants them."""
    before = time.perf_counter()
    dataset = prepare(config.data, progress=False)
    return {
        "photos": sum(map(len, dataset.splits.values())),
        "seconds": time.perf_counter() - before,
    }


def measure(config: Config, workdir: Path, time_left: TimeLeft) -> Row:
    """Trains, asked to stop before the time is over; says how far it came and how fast.

    Returns:
      batches; seconds of training; seconds of the whole call, which starts, compiles, validates and
      saves, too; photos_per_second and input_stall in the training; and where it was stopped, what
      all batches would have taken at this speed.

    Raises:
      TimeoutError: when it did not come to the first batch.
    """
    before = time.perf_counter()
    with contextlib.suppress(Interrupted), stopped_after((1 - ENDING_SHARE) * time_left()):
        train(config, workdir)
    whole = time.perf_counter() - before
    batches, seconds, stalled = read_speed(workdir / "metrics.jsonl", config.train.batch_size)
    if not batches:
        raise TimeoutError("the time was over before the first batch")
    row = {
        "batches": batches,
        "seconds_of_training": seconds,
        "seconds_of_the_whole_call": whole,
        "photos_per_second": batches * config.train.batch_size / seconds,
        "input_stall": stalled / seconds,
    }
    if batches < config.train.steps:
        row["seconds_of_training_extrapolated"] = seconds / batches * config.train.steps
    return row


def read_speed(metrics: Path, batch_size: int) -> tuple[int, float, float]:
    """Adds up the lines of training: batches, seconds, and seconds of waiting for photos."""
    batches, seconds, stalled = 0, 0.0, 0.0
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    for line in map(json.loads, lines):
        if "train/photos_per_second" in line:
            took = (line["step"] - batches) * batch_size / line["train/photos_per_second"]
            batches, seconds = line["step"], seconds + took
            stalled += took * line["train/input_stall"]
    return batches, seconds, stalled


def make_config(
    scale: Scale, cache: Literal["device", "host"], batches: int, folder: Path
) -> Config:
    config = scale.config(
        "bfloat16",
        steps=batches,
        eval_every=batches,
        checkpoint_every=batches,
        figure_every=batches,
        log_every=50,  # each time, the host waits for the device
    )
    return change(config, data={"cache": cache, "cache_dir": str(folder / "photos")})


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Asks this process to stop, as a person would, should the block take longer."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
