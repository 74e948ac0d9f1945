"""How much memory a step needs, and the largest batch that fits."""

import math
import os
from collections.abc import Callable, Iterator

import jax

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Precision, Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft, in_a_line
from benchmarks.gpu_sections.trainer import Trainer
from stn_jax.training.memory import device_bytes, largest_batch, step_bytes

# Before JAX uses the device, of which it would take three quarters.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")

STEP = 0.1
"""The largest batch is found to within this part of it."""

INDEXABLE = 2**31
"""Elements of an array, from which on libraries of convolutions may refuse it."""

UNTUNED = {"xla_gpu_autotune_level": 0}
"""XLA's kernels are not tried out where only their memory counts: that takes minutes of large ones,
and memory of its own."""


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The smallest first: the allocator's peak is that of all steps so far."""
    available = scale.memory_bytes or device_bytes()
    estimates: dict[Precision, int] = {}

    def task(precision: Precision) -> Row:
        row = measure(scale, precision, available)
        estimates[precision] = row["largest_batch_by_estimate"]
        return row

    yield Task(f"a step with {scale.batch_size} photos, bfloat16", lambda: task("bfloat16"))
    yield Task(f"a step with {scale.batch_size} photos, float32", lambda: task("float32"))
    if "bfloat16" in estimates:
        yield from find_largest(
            Search(min(estimates["bfloat16"], indexable_batch(scale))),
            lambda batch: find_obstacle(scale, batch, available),
        )


def measure(scale: Scale, precision: Precision, available: int) -> Row:
    """Memory by the compiler's account, and the most that the allocator has given out."""
    trainer = Trainer(scale, precision)
    before = _peak()
    trainer.run(1)
    needed = step_bytes(trainer.compiled)
    row = {
        "gigabytes_by_the_compiler": needed / 1e9,
        "gigabytes_available": available / 1e9,
        "largest_batch_by_estimate": largest_batch(
            needed, available, batch_size=scale.batch_size, state=trainer.state
        ),
    }
    # Otherwise the peak was the compiler's, which tries kernels out.
    if _peak() > before:
        row["gigabytes_at_the_peak"] = _peak() / 1e9
    return row


def _peak() -> int:
    statistics = jax.local_devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else 0


def indexable_batch(scale: Scale) -> int:
    """Photos whose first feature maps have as many elements as any library takes."""
    model = scale.config("bfloat16").model
    return INDEXABLE // (math.prod(model.crop_size) * model.channels[0][0])


class Search:
    """Looks for the largest number that fits: up in steps, and down by halves.

    Args:
      start: tried first.

    Attributes:
      largest: that fits, of those that were tried; None: none.
      next: to be tried; None when the search is over.
    """

    def __init__(self, start: int):
        self.largest: int | None = None
        self.next: int | None = max(start, 1)
        self._least_too_large: int | None = None

    def learn(self, fits: bool) -> None:
        """Takes in whether `next` fits."""
        if fits:
            self.largest = self.next
        else:
            self._least_too_large = self.next
        self.next = self._choose()

    def _choose(self) -> int | None:
        low, high = self.largest or 0, self._least_too_large
        if high is None:
            return low + max(1, round(STEP * low))
        close = high - low <= max(1, round(STEP * low))
        return None if close else (low + high) // 2


def find_largest(search: Search, find_obstacle: Callable[[int], str | None]) -> Iterator[Task]:
    """Tries one batch after another, while there is time."""

    def attempt(batch: int) -> Row:
        obstacle = find_obstacle(batch)
        search.learn(obstacle is None)
        row = {"fits": obstacle is None, "largest_that_fits": search.largest}
        return row if obstacle is None else row | {"obstacle": obstacle}

    while (batch := search.next) is not None:
        # Without tuning a try is much quicker than the steps before; one cut off takes no result.
        what = f"a batch of {batch} photos, bfloat16"
        yield Task(what, lambda batch=batch: attempt(batch), least=0)
        if search.next == batch:  # there was no time to try it
            return


def find_obstacle(scale: Scale, batch_size: int, available: int) -> str | None:
    """Why a step with so many photos cannot be taken; None where it can."""
    try:
        trainer = Trainer(scale, "bfloat16", batch_size=batch_size, options=UNTUNED)
        needed = step_bytes(trainer.compiled)
        if needed > available:
            return f"needs {needed / 1e9:.1f} GB by the compiler's account"
        trainer.run(1)
    except jax.errors.JaxRuntimeError as error:
        return in_a_line(error)
    return None
