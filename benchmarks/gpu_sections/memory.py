"""How much memory a step needs, and the largest batch that fits."""

from collections.abc import Callable, Iterator

import jax

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Precision, Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from benchmarks.gpu_sections.trainer import Trainer
from stn_jax.training.memory import device_bytes, largest_batch, step_bytes

STEP = 0.1
"""The largest batch is found to within this part of it."""


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
        yield Task(
            "the largest batch, bfloat16",
            lambda: find_largest(scale, estimates["bfloat16"], available, time_left),
        )


def measure(scale: Scale, precision: Precision, available: int) -> Row:
    """Memory by the compiler's account, and the most that the allocator has given out."""
    trainer = Trainer(scale, precision)
    trainer.run(1)
    needed = step_bytes(trainer.compiled)
    row = {
        "gigabytes_by_the_compiler": needed / 1e9,
        "gigabytes_available": available / 1e9,
        "largest_batch_by_estimate": largest_batch(
            needed, available, batch_size=scale.batch_size, state=trainer.state
        ),
    }
    statistics = jax.local_devices()[0].memory_stats()
    if statistics:
        row["gigabytes_at_the_peak"] = statistics["peak_bytes_in_use"] / 1e9
    return row


def find_largest(scale: Scale, estimate: int, available: int, time_left: TimeLeft) -> Row:
    """Begins with the estimate, which training prints, and goes up or down from there."""
    largest, tried = search(
        max(estimate, 1), lambda batch: fits(scale, batch, available), time_left
    )
    outcomes = {str(batch): "fits" if fit else "does not fit" for batch, fit in tried.items()}
    return {"largest": largest, "tried": outcomes}


def search(
    start: int, fits: Callable[[int], bool], time_left: TimeLeft
) -> tuple[int | None, dict[int, bool]]:
    """Finds the largest number that fits, in steps, while there is time for another.

    Returns:
      It (None: none of those that were tried), and what was tried.
    """
    tried: dict[int, bool] = {}
    longest, number = 0.0, start
    while number not in tried and time_left() > longest:
        before = time_left()
        tried[number] = fits(number)
        longest = max(longest, before - time_left())
        up, down = max(number + 1, round(number * (1 + STEP))), round(number / (1 + STEP))
        number = up if tried[number] else max(1, min(down, number - 1))
    return max((batch for batch, fit in tried.items() if fit), default=None), tried


def fits(scale: Scale, batch_size: int, available: int) -> bool:
    """Whether a step with so many photos has room, by the compiler's account and in fact."""
    try:
        trainer = Trainer(scale, "bfloat16", batch_size=batch_size)
        if step_bytes(trainer.compiled) > available:
            return False
        trainer.run(1)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return False
        raise
    return True
