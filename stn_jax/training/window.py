"""The steps between two log lines, their metrics still on the device."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from stn_jax.data.pipeline import Split
from stn_jax.training.guards import check_finite
from stn_jax.training.stall import StallMeter

Batch = dict[str, Any]


class Window:
    """Collects metrics without waiting for them, so that the device never waits for the host.

    Args:
      split: the training photos, to name those of a batch that broke the run.
      batch_size: photos in a batch.
    """

    def __init__(self, split: Split, *, batch_size: int):
        self._split = split
        self._batch_size = batch_size
        self._meter = StallMeter()
        self._reset()

    def take(self, batches: Iterator[Batch]) -> Batch:
        """Takes the next batch; the window's time counts from the first one's asking."""
        if not self._steps:
            self._started = time.monotonic()
        return self._meter.take(batches)

    def add(self, step: int, index: jax.Array, metrics: Mapping[str, jax.Array]) -> None:
        """Takes in the metrics of one step and the places of its photos in the split."""
        self._steps.append((step, index, metrics))
        self._meter.give(metrics)

    def close(self, inspect: Callable[[int, Mapping[str, Any]], None]) -> dict[str, float]:
        """Checks every step and starts the next window.

        Args:
          inspect: called with each step and its metrics.

        Returns:
          Means over the steps; photos_per_second; input_stall, the share of the window's time in
          which the devices had done all their steps and the next batch was not there yet.

        Raises:
          NonFiniteError: when a step's loss or gradient was not finite.
        """
        fetched = jax.device_get([metrics for _, _, metrics in self._steps])
        for (step, index, _), metrics in zip(self._steps, fetched, strict=True):
            check_finite(step, metrics, lambda index=index: self._names(index))
            inspect(step, metrics)
        seconds = time.monotonic() - self._started
        means = {name: float(np.mean([m[name] for m in fetched])) for name in fetched[0]}
        means["photos_per_second"] = len(fetched) * self._batch_size / seconds
        means["input_stall"] = self._meter.seconds / seconds
        self._reset()
        return means

    def _reset(self) -> None:
        self._steps: list[tuple[int, jax.Array, Mapping[str, jax.Array]]] = []
        self._started = self._meter.seconds = 0.0

    def _names(self, index: jax.Array) -> list[str]:
        places = np.concatenate([np.asarray(shard.data) for shard in index.addressable_shards])
        return [self._split[int(place)]["file"] for place in places]
