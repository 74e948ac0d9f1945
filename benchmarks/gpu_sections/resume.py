"""Whether a resumed run equals an uninterrupted one bit by bit, with `train.deterministic`.

Every part is trained by a process of its own, as after a power cut: nothing that one has compiled,
tried out or kept in memory reaches the next.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from stn_jax.models import make_model
from stn_jax.training.checkpoint import CheckpointStore, on_one_device
from stn_jax.training.loop import train
from stn_jax.training.state import init_state, make_optimizer
from stn_jax.training.workdir import read_run

STEPS, STOP = 6, 3


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The one question."""
    yield Task(f"{STEPS} batches against {STOP} and {STEPS - STOP}", lambda: compare(scale))


def compare(scale: Scale) -> Row:
    """Trains both ways and compares weights, moments and counters."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = scale.config("bfloat16", steps=STEPS, deterministic=True, log_every=1)
        data = dataclasses.replace(config.data, cache_dir=str(place / "photos"))
        config = dataclasses.replace(config, data=data)
        apart(train, config, place / "whole")
        for steps in (STOP, STEPS):
            part = dataclasses.replace(config.train, steps=steps)
            apart(train, dataclasses.replace(config, train=part), place / "parts")
        arrays, different = apart(find_differences, place / "whole", place / "parts")
    row = {"arrays": arrays, "different": len(different)}
    if different:
        row["failed"] = f"{len(different)} of {arrays} arrays differ, such as {different[0]}"
    return row


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process, which has the device's memory for itself."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def find_differences(one: Path, other: Path) -> tuple[int, list[str]]:
    """How many arrays the runs' last states have, and which are not the same to the last bit."""
    states = last_state(one), last_state(other)
    pairs = zip(*map(jax.tree.leaves_with_path, states), strict=True)
    different = [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in pairs
        if np.asarray(a).tobytes() != np.asarray(b).tobytes()
    ]
    return len(jax.tree.leaves(states[0])), different


def last_state(workdir: Path) -> PyTree:
    """The state in a run's newest checkpoint."""
    run = read_run(workdir)
    model = make_model(run.config.model, num_classes=len(run.classes), mean_color=run.mean_color)
    like = jax.eval_shape(
        lambda: init_state(
            model,
            make_optimizer(run.config.train),
            photo_size=run.config.data.photo_size,
            num_channels=len(run.mean_color),
            seed=0,
        )
    )
    store = CheckpointStore(workdir / "checkpoints")
    _, state, _ = store.restore(on_one_device(like))
    store.close()
    return state
