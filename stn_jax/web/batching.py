"""One thread owns the model and answers the photos of many requests together."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from stn_jax.data.photo import Photo
from stn_jax.evaluation.predictor import CHUNK, Predictor


class BusyError(Exception):
    """There is no room for more photos now."""


class _Waiting(NamedTuple):
    photo: Photo
    name: str
    answer: Future


class Batcher:
    """Answers photos in calls of up to `CHUNK`, in the order they came.

    Nobody waits for company: a photo that finds the model idle is answered at once, and those that
    come meanwhile share the next call, which costs the same for one photo and for `CHUNK`.

    Answers do not depend on what they are batched with: see `Predictor.predict`.

    Args:
      predictor: answers photos; only this batcher's thread calls it.
      capacity: photos that may wait.
      on_batch: told how many photos each call answered.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        capacity: int,
        on_batch: Callable[[int], None] = lambda count: None,
    ):
        self._predictor = predictor
        self._capacity = capacity
        self._on_batch = on_batch
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        # A daemon, so that a model that hangs cannot keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Photos that wait for the model."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether photos are taken and answered."""
        return self._thread.is_alive() and not self._closed

    def submit(self, photos: Sequence[Photo], names: Sequence[str]) -> list[Future]:
        """Queues photos, all or none.

        Returns:
          A future `Prediction` for each.

        Raises:
          BusyError: when they do not fit, or the batcher is closed.
        """
        items = [_Waiting(p, n, Future()) for p, n in zip(photos, names, strict=True)]
        with self._changed:
            if self._closed or len(self._waiting) + len(items) > self._capacity:
                raise BusyError
            self._waiting.extend(items)
            self._changed.notify()
        return [item.answer for item in items]

    def close(self, *, timeout: float = 10.0) -> None:
        """Takes no more photos, and waits until those that are here have been answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _work(self) -> None:
        while batch := self._next_batch():
            # Whoever gave up waiting has cancelled; nobody can cancel from here on.
            batch = [item for item in batch if item.answer.set_running_or_notify_cancel()]
            if batch:
                self._answer(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Waits for photos; none when closed and all are answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(min(CHUNK, len(self._waiting)))]

    def _answer(self, batch: list[_Waiting]) -> None:
        try:
            predictions = self._predictor.answer(
                [item.photo for item in batch], [item.name for item in batch]
            )
        # Whatever went wrong is for those who wait to hear; the thread must serve the next.
        except Exception as error:
            for item in batch:
                item.answer.set_exception(error)
            return
        self._on_batch(len(batch))
        for item, prediction in zip(batch, predictions, strict=True):
            item.answer.set_result(prediction)
