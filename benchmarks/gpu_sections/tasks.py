"""What a section asks, one thing after another."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from benchmarks.gpu_sections.report import Row

TimeLeft = Callable[[], float]
"""Says how many seconds a section still has."""


class CannotRunError(Exception):
    """The machine lacks what a section needs."""


class Task(NamedTuple):
    """One thing to find out.

    Attributes:
      what: is asked.
      find: finds it.
      least: seconds without which it is not begun; None: as many as the longest before it took.
    """

    what: str
    find: Callable[[], Row]
    least: float | None = None


def answer(tasks: Iterable[Task], time_left: TimeLeft) -> Iterator[Row]:
    """Does the tasks for which there is time; one that fails does not stop the others."""
    longest = 0.0
    for what, find, least in tasks:
        before = time_left()
        needed = longest if least is None else least
        if before < needed:
            reason = f"needs about {needed:.0f} s, and {max(before, 0):.0f} s are left"
            yield {"what": what, "left_out": reason}
            continue
        try:
            row = find()
        except Exception as error:  # whatever a contestant dies of, the others go on
            traceback.print_exc()
            row = {"failed": in_a_line(error)}
        yield {"what": what, **row}
        longest = max(longest, before - time_left())


def in_a_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    first, *_ = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first[:300]}"
