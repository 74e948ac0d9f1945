"""One contestant of benchmarks/step.py, alone in its process: it builds a step and takes turns.

Each library is imported where it is used, so that no contestant carries the other's.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stn_jax.config import Config

Step = Callable[[], float]
"""Trains on the batch once; returns the loss before that, when all is done."""

STEPS_A_TURN = 3
"""Steps of a turn that count."""

_STATUS = Path("/proc/self/status")


class Turn(NamedTuple):
    """What a step took, on average over those of a turn.

    Attributes:
      seconds: on the clock.
      cpu_seconds: of all cores together.
      loss: before the last step.
    """

    seconds: float
    cpu_seconds: float
    loss: float


class Worker:
    """A step, and what the process had in memory before it was built."""

    def __init__(self, contestant: str, config: Config):
        make_step = load(contestant)
        self._empty = memory("VmRSS")
        self.step, self.weights = make_step(config)


_worker: Worker | None = None


def start(contestant: str, config: Config) -> tuple[int, Turn]:
    """Builds this process's step and takes it once; returns the count of weights, too."""
    global _worker
    _worker = Worker(contestant, config)
    first = _take(steps=1)
    # Lets the kernel's record of the highest use begin again: compiling does not count.
    Path("/proc/self/clear_refs").write_text("5")
    return _worker.weights, first


def turn() -> Turn:
    """Takes a step that does not count, and some that do, one after the other as in training.

    The first one finds its memory in the hands of the others, whose turn it was before.
    """
    _worker.step()
    return _take(steps=STEPS_A_TURN)


def _take(*, steps: int) -> Turn:
    clock, cores = time.perf_counter(), time.process_time()
    for _ in range(steps):
        loss = _worker.step()
    seconds, cpu_seconds = time.perf_counter() - clock, time.process_time() - cores
    return Turn(seconds / steps, cpu_seconds / steps, loss)


def peak_bytes() -> int:
    """Most memory used since the first step, without what the libraries take by themselves."""
    return memory("VmHWM") - _worker._empty


def memory(entry: str) -> int:
    """One of the kernel's counts of this process's memory, in bytes."""
    return 1024 * int(re.search(rf"{entry}:\s+(\d+) kB", _STATUS.read_text())[1])


def load(contestant: str) -> Callable[[Config], tuple[Step, int]]:
    """Imports what a contestant needs."""
    if contestant == "ours":
        return _load_ours()
    _, way, layout = contestant.split()
    return _load_torch(compiled=way == "compiled", layout=layout)


def make_batch(config: Config) -> dict[str, np.ndarray]:
    """Photos of noise, and labels."""
    random = np.random.default_rng(0)
    count = config.train.batch_size
    return {
        "photo": random.integers(0, 256, (count, *config.data.photo_size, 3), dtype=np.uint8),
        "label": random.integers(0, 2, count, dtype=np.int32),
    }


def _load_ours() -> Callable[[Config], tuple[Step, int]]:
    import jax

    from stn_jax.models import make_model
    from stn_jax.training.state import init_state, make_optimizer
    from stn_jax.training.step import make_train_step

    def make_step(config: Config) -> tuple[Step, int]:
        model = make_model(config.model, num_classes=2, mean_color=(127.5,) * 3)
        optimizer = make_optimizer(config.train)
        train_step = make_train_step(model, optimizer, config)
        batch = jax.device_put(make_batch(config))
        state = init_state(
            model, optimizer, photo_size=config.data.photo_size, num_channels=3, seed=0
        )

        def step() -> float:
            nonlocal state
            state, metrics = train_step(state, batch)
            jax.block_until_ready(state)
            return float(metrics["loss"])

        return step, sum(leaf.size for leaf in jax.tree.leaves(state.params))

    return make_step


def _load_torch(*, compiled: bool, layout: str) -> Callable[[Config], tuple[Step, int]]:
    import torch

    from benchmarks import torch_peer

    def make_step(config: Config) -> tuple[Step, int]:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        network = torch_peer.STNClassifier(config, num_classes=2)
        network = network.to(memory_format=torch_peer.memory_format(layout))
        train_step = torch_peer.make_step(network, config, precision="float32", compiled=compiled)
        batch = make_batch(config)
        photos = torch_peer.to_tensor(batch["photo"], layout=layout, device="cpu")
        labels = torch.from_numpy(batch["label"]).long()
        count = sum(parameter.numel() for parameter in network.parameters())
        return lambda: train_step(photos, labels).item(), count

    return make_step
