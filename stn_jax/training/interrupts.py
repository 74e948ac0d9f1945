"""SIGTERM and Ctrl-C: finish the step, save, leave; a second Ctrl-C leaves at once."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Self


class Interrupted(Exception):
    """The person or the machine asked to stop; nothing is lost."""


class StopSignal:
    """Turns the first SIGTERM or SIGINT into a request.

    Outside `deferred()` the request raises `Interrupted` where the program stands, because there is
    nothing to save. Inside, it only sets `requested`, for the loop to see between two steps. The
    second signal acts as if this class were not there.
    """

    def __init__(self):
        self.requested = False
        self._deferred = False
        self._previous = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Marks the part of the program that looks at `requested` by itself."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()
        if not self._deferred:
            raise Interrupted(signal.Signals(number).name)

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
