"""What a person can mend about a data set as a whole, and how it is said."""

from collections.abc import Sequence

MOST_LISTED = 20
"""Lines shown of a longer list; the rest is counted."""


class DataError(ValueError):
    """A set of photos that cannot be trained on, with what to change in the message."""


def printable(name: str) -> str:
    """A file's name on one line of a terminal, whatever characters are in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def shortened(lines: Sequence[str], rest: str = "more") -> list[str]:
    """The first lines of a list, and how many there are besides."""
    left = len(lines) - MOST_LISTED
    return [*lines[:MOST_LISTED], *([f"... and {left} {rest}"] if left > 0 else [])]
