"""Crops and their gradients, against torch's grid_sample and the bound of the memory.

On a GPU the crops of a batch of 15 take so little that what is timed is how they are launched. The
scenes of benchmarks/sampler.py therefore have many times more photos here, and several calls are
timed together; the first scene is measured as it is, too.

A task cannot be done without moving some bytes at least once: the pixels that the crops touch, the
crops, their cotangent, and the gradient of the whole photos. The bound is the time in which a copy
of a large array moves as many.
"""

import functools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from benchmarks.gpu_sections.torch_device import torch_device
from benchmarks.sampler import (
    SCENES,
    TASKS,
    Call,
    Scene,
    jax_starts,
    measure,
    merge_layouts,
    ratios,
    torch_calls,
)
from stn_jax.sampling import affine_grid, spatial_transform

# Before JAX uses the device, so that it leaves memory to torch.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

_FLOAT_BYTES = 4
_COPIES = 5
"""That are waited for together: starting one would take a part of its time."""


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The copy first, whose speed the rows after it are measured by; then the scenes."""
    speed: list[float] = []

    def copy() -> Row:
        speed.append(copy_bandwidth(scale))
        return {"gigabytes_per_second": speed[0] / 1e9}

    yield Task("copying within the device's memory", copy)
    larger = [
        scene._replace(photos=(scale.sampler_photos * scene.photos[0], *scene.photos[1:]))
        for scene in SCENES
    ]
    for scene in dict.fromkeys([*larger, SCENES[0]]):
        # Made when the first task asks, and given up before the next scene's.
        contestants = functools.cache(functools.partial(make_contestants, scene, scale))
        for task in TASKS:
            yield Task(
                f"{scene.photos[0]} photos, {scene.name}: {task}",
                functools.partial(compare, scene, task, contestants, scale, speed),
            )


def copy_bandwidth(scale: Scale) -> float:
    """Bytes a second, read and written, of the fastest of some copies of a large array."""
    array = jnp.zeros(scale.copied_bytes // _FLOAT_BYTES, jnp.float32)
    copy = jax.jit(lambda array: array + 1)
    jax.block_until_ready(copy(array))
    times = []
    for _ in range(10):
        before = time.perf_counter()
        for _ in range(_COPIES):
            copied = copy(array)
        jax.block_until_ready(copied)
        times.append((time.perf_counter() - before) / _COPIES)
    return 2 * array.nbytes / min(times)


def make_contestants(scene: Scene, scale: Scale) -> dict[str, dict[str, Call]]:
    """Calls of each task by ours, for photos of both types, and by torch in both layouts."""
    random = np.random.default_rng(0)
    photos = random.integers(0, 256, size=scene.photos, dtype=np.uint8)
    cotangent = random.normal(size=(scene.photos[0], *scene.crop, 3)).astype(np.float32)

    def ours(photos: jax.Array, theta: jax.Array) -> jax.Array:
        return spatial_transform(photos, theta, scene.crop)

    found = {
        f"ours_{dtype}": _repeat(
            jax_starts(ours, jnp.asarray(photos, dtype), scene, cotangent),
            scale.sampler_calls,
            wait=jax.block_until_ready,
        )
        for dtype in ("uint8", "float32")
    }
    if device := torch_device():
        import torch

        for name in ("contiguous_format", "channels_last"):
            layout = getattr(torch, name)
            found[f"torch {name}"] = _repeat(
                torch_calls(torch, photos, scene, cotangent, layout, device),
                scale.sampler_calls,
                wait=lambda _: torch.cuda.synchronize() if device == "cuda" else None,
            )
    return found


def _repeat(starts: dict[str, Call], count: int, *, wait: Callable[[Any], Any]) -> dict[str, Call]:
    """Calls that start several times and wait for the last."""

    def repeated(start: Call) -> None:
        for _ in range(count):
            result = start()
        wait(result)

    return {task: functools.partial(repeated, start) for task, start in starts.items()}


def compare(
    scene: Scene,
    task: str,
    contestants: Callable[[], dict[str, dict[str, Call]]],
    scale: Scale,
    speed: Sequence[float],
) -> Row:
    """Times a task, all contestants in turns; of torch's layouts the quicker one counts."""
    calls = {name: found[task] for name, found in contestants().items() if task in found}
    times = merge_layouts(measure(calls, scale.rounds))
    row: Row = {} if "torch" in times else {"torch": "not installed, or without CUDA"}
    for name, milliseconds in times.items():
        seconds = statistics.median(milliseconds) / 1e3 / scale.sampler_calls
        row[f"{name}_microseconds"] = 1e6 * seconds
        if name == "torch":
            continue
        if speed:
            itemsize = np.dtype(name.removeprefix("ours_")).itemsize
            row[f"{name}_share_of_bound"] = bytes_moved(scene, task, itemsize) / speed[0] / seconds
        for other, ratio in ratios(times, name).items():
            row[f"{other}_times_as_long_as_{name}"] = ratio
    return row


def bytes_moved(scene: Scene, task: str, itemsize: int) -> int:
    """Least bytes that a task reads and writes, for photos of a type of `itemsize` bytes."""
    count, height, width, channels = scene.photos
    crops = count * math.prod(scene.crop) * channels * _FLOAT_BYTES
    photos = count * touched_pixels(scene) * channels * itemsize
    return {
        "forward": photos + crops,
        "theta gradient": photos + 2 * crops,
        "both gradients": photos + 2 * crops + count * height * width * channels * _FLOAT_BYTES,
    }[task]


def touched_pixels(scene: Scene) -> int:
    """Pixels of one photo that its crop is interpolated from."""
    height, width = scene.photos[1:3]
    x, y = np.moveaxis(np.asarray(affine_grid(scene.theta[:1], scene.crop))[0], -1, 0)
    left, top = (
        np.floor(((at + 1) * side - 1) / 2).astype(int) for at, side in ((x, width), (y, height))
    )
    touched = np.zeros((height, width), bool)
    for column in (left, left + 1):
        for row in (top, top + 1):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            touched[row[inside], column[inside]] = True
    return int(touched.sum())
