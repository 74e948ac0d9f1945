"""How long the devices stand idle because the next batch is not there."""

import concurrent.futures
import math
import time
from collections.abc import Iterator
from typing import TypeVar

import jax
from jaxtyping import PyTree

T = TypeVar("T")


class StallMeter:
    """Hands out batches, and counts the time in which the devices had nothing to do meanwhile.

    A step is given to the devices long before they have done it. So the loop's wait for a batch is
    no loss as long as they are at earlier steps, be it with the photos of the batch itself.

    Attributes:
      seconds: from when the devices had done every step they were given and the next batch was
        asked for, until it was on them; over all batches.
    """

    def __init__(self):
        self.seconds = 0.0
        self._watcher = concurrent.futures.ThreadPoolExecutor(1, "stall-meter")
        self._given: PyTree = ()
        self._done: concurrent.futures.Future[float] = concurrent.futures.Future()
        self._done.set_result(-math.inf)

    def take(self, batches: Iterator[T]) -> T:
        """Takes the next batch, once it is on the devices."""
        asked, idle = time.monotonic(), self._is_idle()
        batch = jax.block_until_ready(next(batches))
        arrived = time.monotonic()
        if self._is_idle():
            # Of a step that was done before, the watcher may have taken note too late.
            done = self._done.result()
            self.seconds += max(0.0, arrived - (asked if idle else done))
        return batch

    def give(self, outputs: PyTree) -> None:
        """Takes note of a step that the devices have just been given, by what it will return."""
        self._given = outputs
        self._done = self._watcher.submit(_moment_of, outputs)

    def _is_idle(self) -> bool:
        return all(leaf.is_ready() for leaf in jax.tree.leaves(self._given))


def _moment_of(outputs: PyTree) -> float:
    jax.block_until_ready(outputs)
    return time.monotonic()
