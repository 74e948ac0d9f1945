"""The same network in torch: its step in turns with ours, in one process, on the same photos."""

import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.gpu_sections.report import Row
from benchmarks.gpu_sections.scale import Precision, Scale
from benchmarks.gpu_sections.tasks import CannotRunError, Task, TimeLeft
from benchmarks.gpu_sections.torch_device import torch_device
from benchmarks.gpu_sections.trainer import NoisePhotos, Trainer
from benchmarks.torch_peer import Layout, STNClassifier, make_step, memory_format, to_tensor
from benchmarks.turns import times_as_long

# Before JAX uses the device, so that it leaves memory to torch.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

WAYS: tuple[tuple[bool, Layout], ...] = (
    (False, "channels_last"),
    (True, "channels_last"),
    (False, "contiguous"),
    (True, "contiguous"),
)
"""Whether torch compiles, and its layout of memory."""


def tasks(scale: Scale, time_left: TimeLeft) -> Iterator[Task]:
    """Every way in bfloat16; in the other precisions the layout that convolutions prefer.

    Raises:
      CannotRunError: before anything is compiled, where torch cannot compute where JAX does.
    """
    device = torch_device()
    if device is None:
        raise CannotRunError("torch cannot use the GPU; gpu.log says why")

    for precision in ("bfloat16", "tf32", "float32"):
        ours: Trainer | None = None

        def task(precision: Precision, compiled: bool, layout: Layout) -> Row:
            nonlocal ours
            ours = ours or Trainer(scale, precision)
            theirs = functools.partial(
                TorchTrainer, scale, precision, compiled=compiled, layout=layout, device=device
            )
            return compare(ours, theirs, scale)

        for number, (compiled, layout) in enumerate(WAYS if precision == "bfloat16" else WAYS[:2]):
            quick = number > 0 and not compiled  # ours is compiled by then
            yield Task(
                f"{'compiled' if compiled else 'eager'}, {layout}, {precision}",
                lambda task=task, arguments=(precision, compiled, layout): task(*arguments),
                least=0 if quick else None,
            )


def compare(ours: Trainer, make_theirs: Callable[[], "TorchTrainer"], scale: Scale) -> Row:
    """Times rounds of both in turns; the medians, and the median of the rounds' ratios, count."""
    before = time.perf_counter()
    theirs = make_theirs()
    theirs.run(1)
    first = time.perf_counter() - before
    contestants = {"ours": ours.run, "torch": theirs.run}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(scale.rounds):
        for name, run in contestants.items():
            run(1)  # what the other left behind is not to be measured
            before = time.perf_counter()
            run(scale.steps)
            times[name].append((time.perf_counter() - before) / scale.steps)
    return {
        "milliseconds": 1e3 * statistics.median(times["torch"]),
        "ours_milliseconds": 1e3 * statistics.median(times["ours"]),
        "times_as_long_as_ours": times_as_long(times["torch"], times["ours"]),
        "seconds_until_the_first_step": first,
    }


class TorchTrainer:
    """Torch's step with its network and a batch on the device."""

    def __init__(
        self, scale: Scale, precision: Precision, *, compiled: bool, layout: Layout, device: str
    ):
        config = scale.config(precision)
        network = STNClassifier(config, num_classes=2)
        network = network.to(device, memory_format=memory_format(layout))
        photos = NoisePhotos(config.train.batch_size, scale.photo_size)
        self._photos = to_tensor(photos.photos, layout=layout, device=device)
        self._labels = torch.from_numpy(photos.labels).long().to(device)
        self._step = make_step(network, config, precision=precision, compiled=compiled)

    def run(self, steps: int) -> None:
        """Takes steps and waits for their end."""
        for _ in range(steps):
            self._step(self._photos, self._labels)
        if self._photos.is_cuda:
            torch.cuda.synchronize()
