"""SIGTERM and Ctrl-C: finish the step, save, leave; a second one leaves at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from stn_jax.training.errors import Interrupted

AGAIN = 0.01
"""Seconds after which a request is raised again that was lost."""


class StopSignal:
    """Turns the first SIGTERM or SIGINT into a request.

    Outside `deferred()` the request raises `Interrupted` where the program stands, because there is
    nothing to save. Inside, it only sets `requested`, for the loop to see between two steps. The
    second signal acts as the system would have it: the process ends.

    Python drops what is raised in a finalizer or a callback of the garbage collector (JAX has one),
    so there the request is raised a moment later.

    Signals reach the main thread alone, so in another thread this does nothing.
    """

    def __init__(self):
        self.requested = False
        self._deferred = False
        self._notice = ""
        self._previous = {}
        self._previous_hook = sys.unraisablehook

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
            self._previous_hook, sys.unraisablehook = sys.unraisablehook, self._raise_later
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._previous:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.unraisablehook = self._previous_hook
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self, notice: str = "") -> Iterator[None]:
        """Marks the part of the program that looks at `requested` by itself.

        Args:
          notice: said at once where it may take a while until the program looks.
        """
        self._deferred, self._notice = True, notice
        try:
            yield
        finally:
            self._deferred = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in self._previous:
            signal.signal(each, signal.SIG_DFL)
        if not self._deferred:
            raise Interrupted(signal.Signals(number).name)
        if self._notice:
            # Not print: the signal may have come while sys.stderr was being written.
            with contextlib.suppress(OSError):
                os.write(2, f"{signal.Signals(number).name}: {self._notice}\n".encode())

    def _raise_later(self, dropped: "sys.UnraisableHookArgs") -> None:
        if not isinstance(dropped.exc_value, Interrupted):
            self._previous_hook(dropped)
            return
        number = signal.Signals[str(dropped.exc_value)]

        def ask(_: int, frame: FrameType | None) -> None:
            # By then it may be the request of a StopSignal within this one.
            handler = signal.getsignal(number)
            (handler if callable(handler) else self._handle)(number, frame)

        # No thread: the callback may have come while the locks of `threading` were held.
        signal.signal(signal.SIGALRM, ask)
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
