"""Whether a resumed run equals an uninterrupted one bit by bit, with `train.deterministic`.

Every part is trained by a process of its own, as after a power cut: nothing that one has compiled,
tried out or kept in memory reaches the next.
"""

import dataclasses
import functools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from benchmarks.change import change
from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from benchmarks.processes import in_new_process
from stn_jax.config import Config
from stn_jax.training.checkpoint import restore_last
from stn_jax.training.loop import train

STEPS, STOP = 6, 3


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The trainings, and then whether they ended alike."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        few = dataclasses.replace(scale, photos=2 * scale.batch_size, held_out=scale.batch_size)
        config = few.config("bfloat16", deterministic=True, log_every=1)
        config = change(config, data={"cache_dir": str(place / "photos")})
        for what, steps, name in (
            (f"{STEPS} batches at once", STEPS, "whole"),
            (f"the first {STOP} batches", STOP, "parts"),
            (f"the other {STEPS - STOP} batches", STEPS, "parts"),
        ):
            part = change(config, train={"steps": steps})
            yield Task(what, functools.partial(train_apart, part, place / name))
        what = f"{STEPS} batches against {STOP} and {STEPS - STOP}"
        # Much quicker than a training, and what the section is for.
        yield Task(what, lambda: compare(place / "whole", place / "parts"), least=0)


def train_apart(config: Config, workdir: Path) -> Row:
    """Trains in a new process; how long that took, its start included."""
    before = time.perf_counter()
    outcome = in_new_process(train, config, workdir)
    return {"step": outcome.step, "seconds": time.perf_counter() - before}


def compare(whole: Path, parts: Path) -> Row:
    """Compares weights, moments and counters of two runs.

    Raises:
      ValueError: they are not of the same step, because a part of them failed or had no time.
    """
    arrays, different = in_new_process(find_differences, whole, parts)
    row = {"arrays": arrays, "different": len(different)}
    if different:
        row["failed"] = f"{len(different)} of {arrays} arrays differ, such as {different[0]}"
    return row


def find_differences(one: Path, other: Path) -> tuple[int, list[str]]:
    """How many arrays the runs' last states have, and which are not the same to the last bit."""
    (step, state, _), (other_step, other_state, _) = map(restore_last, (one, other))
    if step != other_step:
        raise ValueError(f"{one.name} is at step {step}, {other.name} at step {other_step}")
    pairs = zip(*map(jax.tree.leaves_with_path, (state, other_state)), strict=True)
    different = [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in pairs
        if np.asarray(a).tobytes() != np.asarray(b).tobytes()
    ]
    return len(jax.tree.leaves(state)), different
