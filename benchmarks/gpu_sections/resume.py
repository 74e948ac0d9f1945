"""Whether a resumed run equals an uninterrupted one bit by bit, with `train.deterministic`.

Every part is trained by a process of its own, as after a power cut: nothing that one has compiled,
tried out or kept in memory reaches the next.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from benchmarks.change import change
from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from benchmarks.processes import in_new_process
from stn_jax.training.checkpoint import restore_last
from stn_jax.training.loop import train

STEPS, STOP = 6, 3


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The one question."""
    yield Task(f"{STEPS} batches against {STOP} and {STEPS - STOP}", lambda: compare(scale))


def compare(scale: Scale) -> Row:
    """Trains both ways and compares weights, moments and counters."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = scale.config("bfloat16", steps=STEPS, deterministic=True, log_every=1)
        config = change(config, data={"cache_dir": str(place / "photos")})
        in_new_process(train, config, place / "whole")
        for steps in (STOP, STEPS):
            part = change(config, train={"steps": steps})
            in_new_process(train, part, place / "parts")
        arrays, different = in_new_process(find_differences, place / "whole", place / "parts")
    row = {"arrays": arrays, "different": len(different)}
    if different:
        row["failed"] = f"{len(different)} of {arrays} arrays differ, such as {different[0]}"
    return row


def find_differences(one: Path, other: Path) -> tuple[int, list[str]]:
    """How many arrays the runs' last states have, and which are not the same to the last bit."""
    states = [restore_last(workdir)[1] for workdir in (one, other)]
    pairs = zip(*map(jax.tree.leaves_with_path, states), strict=True)
    different = [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in pairs
        if np.asarray(a).tobytes() != np.asarray(b).tobytes()
    ]
    return len(jax.tree.leaves(states[0])), different
