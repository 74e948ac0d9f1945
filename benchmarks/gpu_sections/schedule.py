"""How a given time is divided over the sections."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Section:
    """One question, answered by the module of this name.

    Attributes:
      name: of the module in benchmarks/gpu_sections.
      least: seconds without which it is not worth starting.
      share: of the time that the least of all sections leaves over, relative to the others'.
    """

    name: str
    least: float
    share: float

    def shrunk(self) -> "Section":
        """The same at tiny sizes, for which any time is enough."""
        return dataclasses.replace(self, least=0)


def allow(waiting: Sequence[Section], left: float) -> float | None:
    """Says how long the first of the waiting sections may take.

    Every section, in their order, first gets its least while that lasts; those that get it divide
    the rest. What a section does not use is divided anew when the next one asks.

    Args:
      waiting: sections that have not run, the most important first.
      left: seconds for all of them.

    Returns:
      Seconds; None when it does not fit.
    """
    fitting, taken = [], 0.0
    for section in waiting:
        if taken + section.least <= left:
            fitting.append(section)
            taken += section.least
    first = waiting[0]
    if first not in fitting:
        return None
    shares = sum(section.share for section in fitting)
    return first.least + (left - taken) * first.share / shares
