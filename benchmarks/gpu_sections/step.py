"""How long a training step takes, and which part of the chip's peak that is."""

import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from benchmarks.gpu_sections.peaks import peak_flops, step_flops
from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Precision, Scale
from benchmarks.gpu_sections.tasks import Task, TimeLeft
from benchmarks.gpu_sections.trainer import Trainer
from benchmarks.processes import in_new_process

# Before JAX uses the device, so that it leaves memory to the processes of the options.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

OPTIONS: dict[str, dict[str, Any]] = {
    "latency-hiding scheduler": {"xla_gpu_enable_latency_hiding_scheduler": True},
    "no autotuning": {"xla_gpu_autotune_level": 0},
    "exhaustive tiling search": {"xla_gpu_exhaustive_tiling_search": True},
}
"""XLA's options that are tried, one by one."""


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """The precisions first, then ways to dispatch, then options of the compiler."""

    def task(precision: Precision, **variant: Any) -> Callable[[], Row]:
        return functools.partial(measure, scale, precision, **variant)

    yield Task("bfloat16", task("bfloat16"))
    yield Task("TF32", task("tf32"))
    yield Task("float32", task("float32"))
    yield Task("bfloat16, photos on the device", task("bfloat16", resident=True))
    yield Task(
        f"bfloat16, photos on the device, {scale.steps} steps in a dispatch",
        task("bfloat16", resident=True, together=scale.steps),
    )
    for name, options in OPTIONS.items():
        # XLA keeps the kernels that it has chosen, for a process, whatever the options.
        own = functools.partial(in_new_process, task("bfloat16", options=options))
        yield Task(f"bfloat16, {name}", own)


def measure(scale: Scale, precision: Precision, **variant: Any) -> Row:
    """Compiles a step and times it; the median of the rounds counts."""
    trainer = Trainer(scale, precision, **variant)
    trainer.run(scale.steps)
    times = []
    for _ in range(scale.rounds):
        before = time.perf_counter()
        trainer.run(scale.steps)
        times.append((time.perf_counter() - before) / scale.steps)
    seconds = statistics.median(times)
    return {
        "milliseconds": 1e3 * seconds,
        "photos_per_second": trainer.batch_size / seconds,
        **speed(scale, precision, seconds),
        "compile_seconds": trainer.compile_seconds,
    }


def speed(scale: Scale, precision: Precision, seconds: float) -> Row:
    """Arithmetic of a step in TFLOP/s, and as a share of the chip's peak where that is known."""
    flops = step_flops(scale.config(precision)) / seconds
    peak = peak_flops(jax.devices()[0].device_kind, precision)
    return {"teraflops": flops / 1e12} | ({} if peak is None else {"share_of_peak": flops / peak})
